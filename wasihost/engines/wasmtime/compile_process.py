"""Compiling in a process of its own, which can be killed, and whose memory can be limited.

The engine can neither abort a compilation nor limit its memory. So if time or memory must be bounded, another Python
process compiles, with the same library and settings, and returns the artifact.

Rules of this file: the process is started, not forked, and gets only the import path of this one. It is killed when the
wait for it ends, and ends by itself if this process has died.
"""

import ctypes
import os
import sys

from wasihost.engines.values import CompileBounds, CompileMode
from wasihost.engines.wasmtime.engine import WasmtimeEngine, engine
from wasihost.engines.wasmtime.ffi import Vec, c, take_error
from wasihost.errors import ConfigError, LimitExceeded

_SOURCE = "import sys; sys.path[:] = sys.argv[7:]; from wasihost.engines.wasmtime.compile_process import main; main()"
_REFUSED, _FULL = 3, 4
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")


def compile_in_process(code: bytes, label: str, owner: WasmtimeEngine, bounds: CompileBounds) -> tuple[int, str]:
    """Return the engine's module; or 0 and the engine's message. LimitExceeded if `bounds` are exceeded."""
    import subprocess  # imported here: other compilations do not need it

    if not sys.executable:
        raise ConfigError("compile_timeout and compile_memory need to know where Python is: set sys.executable")
    limits = [str(bounds.memory or 0), str(bounds.seconds or 0)]
    command = [
        sys.executable,
        "-S",
        "-P",
        "-c",
        _SOURCE,
        *map(str, map(int, owner.mode[:3])),
        owner.mode.features,
        *limits,
        *sys.path,
    ]
    environment = {name: value for name in _KEPT if (value := os.environ.get(name)) is not None}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    try:
        artifact, stderr = process.communicate(code, timeout=bounds.seconds)
    except subprocess.TimeoutExpired:
        raise LimitExceeded(
            "compile_timeout", f"{label}: was not compiled within {bounds.seconds:g} s, its compile_timeout"
        ) from None
    finally:  # `subprocess.run` would not wait for the process after Ctrl-C
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    message = stderr.decode(errors="replace").strip()
    if process.returncode == _REFUSED:
        return 0, message
    if process.returncode == _FULL or (bounds.memory is not None and (process.returncode < 0 or "memory" in message)):
        raise LimitExceeded(
            "compile_memory", f"{label}: compiling it takes more than {bounds.memory:,} bytes, its compile_memory"
        )
    made = ctypes.c_void_p()
    if not process.returncode:
        error = c.wasmtime_module_deserialize(owner.ptr, artifact, len(artifact), ctypes.byref(made))
        message = take_error(error) if error else ""
    if not made.value:
        raise ConfigError(f"{label}: the process that compiles ended with {process.returncode}: {message[-500:]}")
    return made.value, ""


def main() -> None:
    """Run in the other process: read a module from standard input, write its artifact to standard output."""
    *mode, features, memory, seconds = sys.argv[1:7]
    _bound(int(memory), float(seconds))
    code = sys.stdin.buffer.read()
    interruptible, fuel, stack = map(int, mode)
    owner, made, artifact = (
        engine(CompileMode(bool(interruptible), bool(fuel), stack, features)),
        ctypes.c_void_p(),
        Vec(),
    )
    try:
        error = c.wasmtime_module_new(owner.ptr, code, len(code), ctypes.byref(made))
        error = error or c.wasmtime_module_serialize(made, ctypes.byref(artifact))
    except MemoryError:
        sys.exit(_FULL)
    if error:
        sys.stderr.write(take_error(error))
        sys.exit(_REFUSED)
    assert artifact.data
    view = memoryview((ctypes.c_ubyte * artifact.size).from_address(artifact.data)).cast("B")
    sys.stdout.buffer.write(view)
    sys.stdout.buffer.flush()
    os._exit(0)  # faster than freeing everything first


def _bound(memory: int, seconds: float) -> None:
    import resource
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the waiting process gets Ctrl-C, too, and kills this one
    if seconds:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
        resource.setrlimit(kind, (memory, memory))
