"""The `wasihost` command: from an order to an exit status.

Rules of this file: an order to a config and errors to messages and exit statuses; nothing else. Exit statuses: the
guest's own; 124 for a timeout, as coreutils has it; 125 for a limit; 134 for a trap, as a shell sees SIGABRT; 2 for bad
usage or a module that cannot be run.

A plain run goes by `fast_path`, which imports no more than it needs; importing click alone takes as long as half a
start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from wasihost.cli.options import STDIN, Order
from wasihost.config import INHERIT, Inherit, ModuleConfig
from wasihost.errors import ExitError, GuestError, LimitExceeded, TimeoutExpired, TrapError, WasihostError
from wasihost.outcomes import printable

if TYPE_CHECKING:
    import socket

    from wasihost.config.mounts import MountOptions
    from wasihost.engines.wasmtime.compiling import OnCompile
    from wasihost.imports import Provider

TIMEOUT_STATUS = 124
LIMIT_STATUS = 125
TRAP_STATUS = 134
USAGE_STATUS = 2


def launch(order: Order) -> int:
    """Run the module and answer the exit status; what went wrong is said on standard error."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not so where Ctrl-C is ignored
        # Python's own way waits for the next call of the guest; one that only computes could not be stopped.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _occupy_standard_descriptors()
    hint = False
    try:
        status = _run(order, _config(order))
        hint = status != 0
    except OSError as error:
        _complain(f"{printable(str(error.filename or order.module))}: {error.strerror or error}")
        status = USAGE_STATUS
    except TimeoutExpired as error:
        _complain(f"{printable(order.module)}: ended after {error.timeout:g} seconds")
        status = TIMEOUT_STATUS
    except LimitExceeded as error:
        _complain(f"{printable(order.module)}: {error} (limit: {error.limit})")
        status = LIMIT_STATUS
    except TrapError as error:
        _complain(str(error))
        status = TRAP_STATUS
        hint = True
    except WasihostError as error:
        _complain(str(error))
        status = USAGE_STATUS
    if hint and order.args and order.invoke is None:
        from wasihost.cli.hints import unseen

        if text := unseen(order):
            _complain(text)
    return status & 0xFF


def _config(order: Order) -> ModuleConfig:
    own = "guest" if order.module == STDIN else os.path.basename(order.module)
    config = ModuleConfig().with_args(order.argv0 or own, *order.args)
    config = config.with_stdin(INHERIT).with_stdout(INHERIT).with_stderr(INHERIT)
    bounds: MountOptions = {"one_file_system": order.one_file_system, "kernel_files": order.kernel_files}
    for guest, host in order.dirs:
        config = config.with_host_directory_preopen(guest, host, **bounds)
    for guest, host in order.ro_dirs:
        config = config.with_read_only_fs(guest, host, **bounds)
    for number, (host, port) in enumerate(order.tcplisten):
        listener = _listen(host, port)
        listener.setblocking(not order.tcp_nonblock)
        config = config.with_listener(f"tcplisten{number}", listener)
    if order.env_inherit:
        for name, value in os.environb.items():
            config = config.with_env(name, value)
    for variable, text in order.env:
        passed = os.environ.get(variable) if text is None else text
        if passed is not None:
            config = config.with_env(variable, passed)
        else:
            _complain(f"--env {variable}: there is no such variable here, so the guest has none; give it a value: "
                      f"--env {variable}=VALUE")  # fmt: skip
    if order.max_memory is not None:
        config = config.with_limits(memory=order.max_memory)
    if order.max_stack is not None:
        config = config.with_limits(stack=order.max_stack)
    if order.compile_timeout is not None or order.compile_memory is not None:
        config = config.with_limits(compile_timeout=order.compile_timeout, compile_memory=order.compile_memory)
    if order.fuel is not None:
        config = config.with_limits(fuel=order.fuel)
    if order.max_open_files is not None:
        config = config.with_limits(open_files=order.max_open_files)
    if order.max_output is not None:
        from wasihost.config.limits import OutputLimit

        both = Inherit(None, OutputLimit(order.max_output))
        config = config.with_stdout(both).with_stderr(both)
    return config


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Which port the system chose is said on standard error. WasihostError if there is none."""
    import socket

    shown = f"[{host}]" if ":" in host else host
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(where, family=family)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
        raise WasihostError(f"cannot listen on {shown}:{port}: {getattr(error, 'strerror', None) or error}") from error
    except OSError as error:
        raise WasihostError(f"cannot listen on {shown}:{port}: {os.strerror(error.errno or 0)}") from error
    if not port:
        _complain(f"listening on {shown}:{made.getsockname()[1]}")
    return made


def _run(order: Order, config: ModuleConfig) -> int:
    progress = None
    if sys.stderr is not None and sys.stderr.isatty():
        from wasihost.cli.progress import Progress

        progress = Progress()
    features = _features(order)
    if order.isolate:
        return _run_isolated(order, config, progress, features)
    if not (order.stats or order.invoke or order.preload or order.stub):
        from wasihost.cli.fast_path import execute

        return execute(_source(order.module), config, cache=not order.no_cache, timeout=order.timeout,
                       on_compile=progress, features=features)  # fmt: skip
    from wasihost.cli.stats_table import table
    from wasihost.embedding.instantiate import instantiate
    from wasihost.guest.instance import Instance

    stubs = _stubs(order)
    with contextlib.ExitStack() as stack:

        def make(module: str, config: ModuleConfig, *imports: Provider) -> Instance:
            return stack.enter_context(
                instantiate(_source(module), config, timeout=order.timeout, cache=not order.no_cache, stats=order.stats,
                            imports=(*imports, *stubs), on_compile=progress, features=features)
            )  # fmt: skip

        try:
            libraries = [make(file, config.with_args(file)).as_imports(name) for name, file in order.preload]
            guest = make(order.module, config, *libraries)
            if order.stats:
                stack.callback(lambda: print(table(guest.stats), file=sys.stderr, flush=True))
            if order.invoke is None:
                return guest.run_through(order.timeout)
            from wasihost.cli.hints import arguments

            numbers = arguments(order.invoke, guest.module.exports, order.args)
            answer = guest.call(order.invoke, *numbers, timeout=order.timeout)
        except ExitError as end:
            return end.code
        for number in answer if isinstance(answer, tuple) else [] if answer is None else [answer]:
            print(number, flush=True)
        return 0


def _features(order: Order) -> str:
    if not order.features:
        return ""
    from wasihost.guest.module import settled

    return settled(",".join(order.features))


def _run_isolated(order: Order, config: ModuleConfig, progress: OnCompile | None, features: str) -> int:
    """The same in a process of its own. WasihostError for what has to be in this one."""
    if order.invoke or order.preload or order.stub:
        raise WasihostError("--isolate is for a program that stands alone: leave out --invoke, --preload and --stub")
    from wasihost.cli.stats_table import table
    from wasihost.embedding.run import run

    stats = None
    try:
        done = run(_source(order.module), config, timeout=order.timeout, cache=not order.no_cache, stats=order.stats,
                   on_compile=progress, features=features, isolation="process")  # fmt: skip
        stats = done.stats
    except GuestError as error:
        stats = error.stats
        raise
    finally:
        if order.stats and stats is not None:
            print(table(stats), file=sys.stderr, flush=True)
    return done.returncode


def _source(module: str) -> str | bytes:
    """The path of the module, or its bytes from standard input. WasihostError where that is a terminal."""
    if module != STDIN:
        return module
    if sys.stdin is None or sys.stdin.isatty():
        raise WasihostError("'-' reads the module from standard input: wasihost run - < FILE.wasm")
    return sys.stdin.buffer.read()


def _stubs(order: Order) -> list[Provider]:
    if not order.stub:
        return []
    from wasihost.imports import Imports

    return [Imports.stub(name) for name in order.stub]


def _occupy_standard_descriptors() -> None:
    """Where this process was started with one of 0, 1 and 2 closed, `/dev/null`: else the next file that is opened
    takes the number, and the guest has that file as its stream."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _complain(text: str) -> None:
    """A message on standard error, if there is anyone to read it: the exit status says the same."""
    text = "\n".join(map(printable, text.split("\n")))
    with contextlib.suppress(OSError, AttributeError, ValueError):  # None or closed where the process began without it
        print(f"wasihost: {text}", file=sys.stderr, flush=True)
