"""`make wheels`: what is built for another system is for that system, and is inspected."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import wheels

THIS = f"cp{sys.version_info.major}{sys.version_info.minor}"
TAGS = f"{THIS}-{THIS}" if sys.version_info < (3, 12) else "cp312-abi3"


def build(out: Path, only: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, wheels.__file__, "--out", str(out), "--only", only, python]
    quick = os.environ | {"CFLAGS": "-O0"}
    return subprocess.run(command, env=quick, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tag", ["macosx_11_0_arm64"])
def test_a_wheel_for_another_system_has_a_library_of_that_system(tag: str, tmp_path: Path) -> None:
    done = build(tmp_path, f"{TAGS}-{tag}")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.iterdir()
    assert wheel.name.endswith(f"-{TAGS}-{tag}.whl")
    assert done.stdout.startswith(f"{wheel.name}: ")
    (system,) = (one for one in wheels.SYSTEMS if one.tag == tag)
    (other,) = (one for one in wheels.SYSTEMS if one.tag == "manylinux_2_28_x86_64")
    wheels.inspect(wheel, system)
    with pytest.raises(wheels.WrongWheel, match=rf"the library in wasihost-.*\.whl is {system.machine}, not elf 62"):
        wheels.inspect(wheel, other)
    with zipfile.ZipFile(wheel) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        lines = archive.read(about).decode().splitlines()
    assert f"Tag: {TAGS}-{tag}" in lines
    assert "Root-Is-Purelib: false" in lines


def test_a_library_that_is_none_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("wasihost/native/_native.so", b"no library, but some bytes")
    with pytest.raises(wheels.WrongWheel, match=r"is something else, not elf 62"):
        wheels.inspect(wheel, wheels.SYSTEMS[0])
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("wasihost/__init__.py", "")
    with pytest.raises(wheels.WrongWheel, match=r"has \[\], and should have one library"):
        wheels.inspect(wheel, wheels.SYSTEMS[0])


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = build(tmp_path, "*", "no-such-python")
    assert done.returncode == 1
    assert done.stderr == "no-such-python does not run: name a Python 3.11 and a later one, as in PYTHONS=...\n"
