"""Build the wheels of a release into dist/ for all systems, with ziglang as the compiler: `make wheels`.

    python codegen/wheels.py [--out DIR] [--only PATTERN] PYTHON...

Each PYTHON is an interpreter whose headers are used: 3.11 for wheels of that version, and 3.12 or later for those with
the stable ABI, which serve 3.12 and all after it. Every wheel is inspected after it was built: what the library in
it is for, what it imports, and, for glibc, by auditwheel. The pure wheel and the source distribution are built too.

Rules of this file: standard library, hatch_build, and programs of the development environment.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from hatch_build import ROOT, STABLE_FROM

PYCONFIG: Final = """\
/* What Python's headers need to know of a 64-bit system, for builds on another one. */
#define HAVE_CLOCK_GETTIME 1
#define HAVE_DYNAMIC_LOADING 1
#define HAVE_LONG_LONG 1
#define HAVE_PTHREAD_H 1
#define HAVE_SYS_SELECT_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_UNISTD_H 1
#define HAVE_WCHAR_H 1
#define PTHREAD_KEY_T_IS_COMPATIBLE_WITH_INT %(int_keys)d
#define SIZEOF_DOUBLE 8
#define SIZEOF_FLOAT 4
#define SIZEOF_INT 4
#define SIZEOF_LONG 8
#define SIZEOF_LONG_LONG 8
#define SIZEOF_OFF_T 8
#define SIZEOF_PID_T 4
#define SIZEOF_PTHREAD_T 8
#define SIZEOF_SHORT 2
#define SIZEOF_SIZE_T 8
#define SIZEOF_TIME_T 8
#define SIZEOF_UINTPTR_T 8
#define SIZEOF_VOID_P 8
#define SIZEOF_WCHAR_T 4
#define WITH_PYMALLOC 1
#define WITH_THREAD 1
#define %(extensions)s 1
"""
"""`pyconfig.h` of the interpreter that builds describes its own system; this one describes the system of the wheel."""


class System(NamedTuple):
    """A system to build for: the platform tag of its wheels, zig's name of it, and what its libraries begin with."""

    tag: str
    zig: str
    machine: str
    libc: str


SYSTEMS: Final = (
    System("manylinux_2_28_x86_64", "x86_64-linux-gnu.2.28", "elf 62", "libc.so.6"),
    System("manylinux_2_28_aarch64", "aarch64-linux-gnu.2.28", "elf 183", "libc.so.6"),
    System("musllinux_1_2_x86_64", "x86_64-linux-musl", "elf 62", "libc.so"),
    System("musllinux_1_2_aarch64", "aarch64-linux-musl", "elf 183", "libc.so"),
    System("macosx_11_0_x86_64", "x86_64-macos.11.0", "mach-o 16777223", "/usr/lib/libSystem.B.dylib"),
    System("macosx_11_0_arm64", "aarch64-macos.11.0", "mach-o 16777228", "/usr/lib/libSystem.B.dylib"),
)


class WrongWheel(Exception):
    """A wheel is not what its name says."""


def headers(python: str) -> tuple[str, Path]:
    """Return the first two tags of wheels for this interpreter, and the folder with its headers."""
    code = "import json, sys, sysconfig; print(json.dumps([*sys.version_info[:2], sysconfig.get_path('include')]))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(f"{python} does not run: name a Python 3.11 and a later one, as in PYTHONS=...") from None
    major, minor, include = json.loads(done.stdout)
    if not Path(include, "Python.h").exists():
        raise SystemExit(f"the headers of {python} are not installed: there is no {include}/Python.h")
    if (major, minor) >= STABLE_FROM:
        return "cp{}{}-abi3".format(*STABLE_FROM), Path(include)
    return f"cp{major}{minor}-cp{major}{minor}", Path(include)


def copy_headers(include: Path, system: System, target: Path) -> None:
    """Copy Python's headers, with the `pyconfig.h` of the system."""
    shutil.copytree(include, target, ignore=shutil.ignore_patterns("pyconfig*.h"))
    macos = system.tag.startswith("macosx")
    values = {"int_keys": not macos, "extensions": "_DARWIN_C_SOURCE" if macos else "_GNU_SOURCE"}
    (target / "pyconfig.h").write_text(PYCONFIG % values)


def build(out: Path, *kinds: str, **environment: str) -> None:
    """Build wheels and source distributions. Raises SystemExit with the output of the build if it fails."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def library(wheel: Path) -> bytes:
    """Return the only library in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        if len(names) != 1:
            raise WrongWheel(f"{wheel.name} has {names}, and should have one library")
        return archive.read(names[0])


def machine(content: bytes) -> str:
    """Return the format of a library and the number of its machine in that format."""
    if content[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<H", content, 16) == (3,):
        return f"elf {struct.unpack_from('<H', content, 18)[0]}"
    magic, cpu, _, filetype = struct.unpack_from("<4I", content)
    if magic == 0xFEEDFACF and filetype in (6, 8):  # a library or a bundle
        return f"mach-o {cpu}"
    return "something else"


def needed(content: bytes) -> list[str]:
    """Return the names of the libraries that a library needs."""
    if content[:4] == b"\x7fELF":
        from io import BytesIO

        from elftools.elf.elffile import ELFFile

        dynamic: Any = ELFFile(BytesIO(content)).get_section_by_name(".dynamic")
        return [tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"]
    names, at = [], 32
    for _ in range(struct.unpack_from("<I", content, 16)[0]):
        command, size = struct.unpack_from("<2I", content, at)
        if command & 0x7FFFFFFF in (0xC, 0x18, 0x1F):  # LC_LOAD_DYLIB, and its weak and re-exported kinds
            start = at + struct.unpack_from("<I", content, at + 8)[0]
            names.append(content[start : at + size].split(b"\0")[0].decode())
        at += size
    return names


def inspect(wheel: Path, system: System) -> str:
    """Return a line about a wheel. Raises WrongWheel if its library is not for the system."""
    content = library(wheel)
    if machine(content) != system.machine:
        raise WrongWheel(f"the library in {wheel.name} is {machine(content)}, not {system.machine}")
    if b"PyInit__native" not in content:
        raise WrongWheel(f"the library in {wheel.name} is no module of Python's")
    foreign = [name for name in needed(content) if name != system.libc and not name.startswith(("libpthread", "ld-"))]
    if foreign:
        raise WrongWheel(f"the library in {wheel.name} needs {', '.join(foreign)}")
    if "manylinux" in system.tag:  # auditwheel reads musl's wheels only where musl is
        audit(wheel, system)
    return f"{wheel.name}: {wheel.stat().st_size >> 10} KiB, library {len(content) >> 10} KiB"


def audit(wheel: Path, system: System) -> None:
    """Let auditwheel compare the symbols that the library needs with what the platform tag promises."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = " ".join(done.stdout.split())
    family, major, minor, arch = system.tag.split("_", 3)
    found = said.partition('following platform tag: "')[2].partition('"')[0].split("_", 3)
    if done.returncode or len(found) != 4 or (found[0], found[3]) != (family, arch):
        raise WrongWheel(f"auditwheel on {wheel.name}: {said or done.stderr}")
    if (int(found[1]), int(found[2])) > (int(major), int(minor)):
        raise WrongWheel(f"{wheel.name} needs {'_'.join(found)}")


def main() -> int:
    """Build and inspect all wheels."""
    parser = argparse.ArgumentParser(description="Build the wheels of a release.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="where they go (default dist/)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the tags, such as 'cp312-abi3-many*'")
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="interpreters with headers: 3.11, and a later one")
    options = parser.parse_args()
    interpreters = [headers(python) for python in options.pythons]
    for python, include in interpreters:
        for system in SYSTEMS:
            tags = f"{python}-{system.tag}"
            if not fnmatch.fnmatch(tags, options.only):
                continue
            with tempfile.TemporaryDirectory(prefix="wasihost-headers-") as folder:
                copy_headers(include, system, Path(folder, "include"))
                zig = f"{sys.executable} -m ziglang cc -target {system.zig}"
                include_here = str(Path(folder, "include"))
                environment = {"CC": zig, "LDFLAGS": "-s", "WASIHOST_TARGET": tags, "WASIHOST_INCLUDE": include_here}
                build(options.out, "--wheel", CFLAGS="", WASIHOST_PURE="", **environment)
            (wheel,) = options.out.glob(f"*-{tags}.whl")
            print(inspect(wheel, system), flush=True)
    if options.only == "*":
        build(options.out, "--sdist", "--wheel", WASIHOST_PURE="1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
