"""What a process has given up before a guest begins, tried from inside, and looked at from outside; and how it ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.isolation.probe import SYSCALLS
from tests.support.guests import build_c
from wasihost import ConfigError, Module, isolation_report, run, start
from wasihost.isolation import landlock, lockdown, seccomp
from wasihost.isolation.pool import pool

ROOT = Path(__file__).resolve().parents[2]
TOOL = Module(build_c("tool"))
MACHINES = ("x86_64", "aarch64")
ALLOWED = ("read in the mount", "write in the mount", "move in the mount", "read what is read-only", "thread", "random")
BY_PATH = ("write what is read-only", "read outside", "read passwd", "list the root", "memory of the parent",
           "own memory", "make a device")  # fmt: skip
BY_CALL = ("execute", "subprocess", "fork", "socket", "unix socket", "kill the parent", "kill all",
           "executable memory", "raise a limit", "chdir", *SYSCALLS)  # fmt: skip
ONLY_SOCKETS = ("accept", "accept4", "sendmsg", "recvmsg", "getsockname", "getpeername", "setsockopt")
REFUSED_WITH_ZEROS = {"clone3": errno.ENOSYS, **dict.fromkeys(("clone", "tgkill", "prctl", "ioctl"), errno.EPERM)}
REFUSED_WITH_ONES = {"clone3": errno.ENOSYS, **dict.fromkeys(
    ("mmap", "mprotect", "tgkill", "prctl", "ioctl", "fcntl", "sendto", "prlimit64"), errno.EPERM)}  # fmt: skip


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the probe says."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / "mount" / "sub").mkdir(parents=True)
    (folder / "fixed").mkdir()
    for name in ("mount/a", "fixed/a", "outside"):
        (folder / name).write_text("content")
    done = subprocess.run(
        [sys.executable, "-m", "tests.isolation.probe", *(str(folder / one) for one in ("mount", "fixed", "outside"))],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_lockdown_uses_every_means_that_the_report_names(tried: Any) -> None:
    """Where the kernel lacks one, the tests below that need it are skipped, and say so."""
    assert tuple(tried["held"]) == isolation_report().held
    assert tried["missing"] == isolation_report().missing


@pytest.mark.parametrize("attempt", ALLOWED)
def test_lockdown_leaves_what_guests_need(tried: Any, attempt: str) -> None:
    assert tried["ends"][attempt] == "done"


@pytest.mark.parametrize("attempt", BY_PATH)
def test_paths_lead_nowhere(tried: Any, attempt: str) -> None:
    if "landlock" not in tried["held"]:
        pytest.skip(f"no Landlock: {tried['missing']['landlock']}")
    assert tried["ends"][attempt] in ("EACCES", "EPERM")


@pytest.mark.parametrize("attempt", BY_CALL)
def test_calls_are_refused(tried: Any, attempt: str) -> None:
    if "seccomp" not in tried["held"]:
        pytest.skip(f"no seccomp: {tried['missing']['seccomp']}")
    assert tried["ends"][attempt] == ("ENOSYS" if attempt == "clone3" else "EPERM")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("sockets", [False, True])
def test_the_filter_is_well_formed(machine: str, sockets: bool) -> None:
    """Every jump ends at an instruction of it, and it ends by refusing."""
    code = seccomp.for_any(sockets, machine)
    size = len(code) // 8
    assert len(code) % 8 == 0
    assert size < 4096
    for at in range(size):
        kind, yes, no = code[8 * at] | code[8 * at + 1] << 8, code[8 * at + 2], code[8 * at + 3]
        if kind & 7 == 5:
            assert at + 1 + max(yes, no) < size
    assert code[-8:-6] == b"\6\0"


@pytest.mark.parametrize("place", range(len(MACHINES)))
@pytest.mark.parametrize("sockets", [False, True])
def test_the_filter_does_what_the_table_says(place: int, sockets: bool) -> None:
    """For every number, with arguments that are all 0, and with all bits of them set."""
    code = seccomp.for_any(sockets, MACHINES[place])
    architecture = (0xC000003E, 0xC00000B7)[place]
    names = {numbers[place]: name for name, numbers in seccomp.NUMBERS.items()}
    for number in range(1000):
        name = names.get(number)
        refused = name is None or (name in ONLY_SOCKETS and not sockets)
        for argument, by_name in ((0, REFUSED_WITH_ZEROS), ((1 << 64) - 1, REFUSED_WITH_ONES)):
            expected = errno.EPERM if refused else by_name.get(name or "", 0)
            assert (name, filtered(code, architecture, number, argument)) == (name, expected)
        assert filtered(code, 0x40000003, number, 0) == -1
        assert filtered(code, architecture, number | 1 << 30, 0) == -1


def filtered(code: bytes, architecture: int, number: int, argument: int) -> int:
    """What a filter makes of a call whose arguments are all the same: the errno, 0 for it is done, -1 for the end."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *[argument] * 6)
    at = accumulator = 0
    while True:
        kind, yes, no, value = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        if kind == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif kind == 0x54:
            accumulator &= value
        elif kind == 0x05:
            at += value
        elif kind == 0x06:
            return int({0x7FFF0000: 0, 0x80000000: -1}.get(value, value & 0xFFFF))
        else:
            true = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value != 0}[kind]
            at += yes if true else no


def test_numbers_of_calls_are_those_of_the_headers() -> None:
    """Of the machine that this runs on, as its C compiler has them."""
    place = MACHINES.index(os.uname().machine)
    names = [name for name, numbers in seccomp.NUMBERS.items() if numbers[place] is not None]
    source = "#include <sys/syscall.h>\n" + "".join(f"{name} = __NR_{name};\n" for name in names)
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", "-E", "-P", "-target", f"{os.uname().machine}-linux-gnu", "-xc", "-"],
        input=source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = dict(line.rstrip(";").split(" = ") for line in done.stdout.splitlines() if " = " in line)
    assert {name: int(found[name]) for name in names} == {name: seccomp.NUMBERS[name][place] for name in names}


@pytest.mark.parametrize(("version", "size"), [(1, 8), (2, 8), (3, 8), (4, 16), (5, 16), (6, 24), (7, 24), (99, 24)])
def test_landlock_is_asked_for_what_its_version_knows(version: int, size: int) -> None:
    assert len(landlock.attributes(version)) == size


def test_a_worker_seen_from_outside(tmp_path: Path) -> None:
    with start(TOOL, args=["spin"], isolation="process", ro_dirs={"/": tmp_path}) as process:
        process.stdout.readline()
        status = status_of(locked()[0])
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == ("2" if "seccomp" in isolation_report().held else "0")
        assert int(status["CapEff"], 16) & ~0b1010 == 0
        assert int(status["CapPrm"], 16) & ~0b1010 == 0
        assert "secret" not in Path(f"/proc/{pool.process}/environ").read_text()
        process.kill()
    assert gone(lambda: not locked())


def test_report_names_what_the_kernel_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zygote is another process: it gets a module of ours in which the kernel has neither."""
    monkeypatch.setattr(landlock, "LEAST", 1000)
    assert "version" in isolation_report().missing["landlock"]
    assert not isolation_report().complete
    report = lockdown.IsolationReport(("rlimits",), {"seccomp": "gone"})
    assert not report.complete


def test_strict_is_refused_where_something_is_missing() -> None:
    code = f"""
import sys, wasihost
from wasihost.isolation import pool
pool._SOURCE = pool._SOURCE.replace("zygote.main", "zygote.lockdown.landlock.LEAST = 1000; zygote.main")
import logging; logging.basicConfig(stream=sys.stdout, format="%(name)s %(message)s")
tool = {str(build_c("tool"))!r}
for _ in range(2):
    print(wasihost.run(tool, args=["exit", "3"], isolation="process").returncode)
try:
    wasihost.run(tool, isolation="strict")
except wasihost.ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert lines[0].startswith("wasihost.isolation guests in processes of their own are held without landlock")
    assert lines[1:3] == ["3", "3"]
    assert 'isolation="strict" cannot be had here (landlock' in lines[3]
    assert isolation_report().complete is (run(TOOL, args=["exit", "0"], isolation="process").stats.isolation
                                           == lockdown.MEANS)  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_is_left_of_an_embedder_that_ends(number: signal.Signals) -> None:
    code = f"""
import wasihost, threading, sys
from wasihost.isolation.pool import pool
def said(data):
    print(pool.process, flush=True)
wasihost.run({str(build_c("tool"))!r}, args=["spin"], isolation="process", stdout=said)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as embedder:
        assert embedder.stdout is not None
        zygote = int(embedder.stdout.readline())
        workers = children(zygote)
        assert workers
        embedder.send_signal(number)
        embedder.communicate(timeout=30)
    assert gone(lambda: not any(alive(one) for one in [zygote, *workers]))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_workers_of_its_own() -> None:
    assert run(TOOL, args=["exit", "1"], isolation="process").returncode == 1
    ours = pool.process
    child = os.fork()
    if not child:
        code = 99
        try:
            code = run(TOOL, args=["exit", "5"], isolation="process").returncode
            code = 98 if pool.process == ours else code
        finally:
            pool.close()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert run(TOOL, args=["exit", "2"], isolation="process").returncode == 2


def test_a_zygote_that_was_killed_is_made_anew() -> None:
    run(TOOL, args=["exit", "0"], isolation="process")
    assert pool.process is not None
    os.kill(pool.process, signal.SIGKILL)
    assert gone(lambda: not alive(pool.process or 0))
    assert run(TOOL, args=["exit", "2"], isolation="process").returncode == 2


def test_without_python_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pool.close()
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ConfigError, match=r"sys\.executable"):
        run(TOOL, isolation="process")


def status_of(process: int) -> dict[str, str]:
    """What the system says of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":", 1)[1].strip() for line in lines}


def children(process: int) -> list[int]:
    """Of a process."""
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def locked() -> list[int]:
    """The workers that have a guest."""
    assert pool.process is not None
    if "seccomp" not in isolation_report().held:
        pytest.skip("without a filter, those with a guest look like those that wait for one")
    found = []
    for one in children(pool.process):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended just now
            if status_of(one).get("Seccomp") == "2":
                found.append(one)
    return found


def alive(process: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return status_of(process)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(true: Callable[[], bool]) -> bool:
    """Whether it becomes true within half a minute."""
    until = time.monotonic() + 30
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()
