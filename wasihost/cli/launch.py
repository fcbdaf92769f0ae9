"""From the arguments of `run` to an exit status.

Rules of this file: it turns arguments into a config, and errors into messages and exit statuses; nothing else. The exit
status is the guest's own, or 124 for a timeout (as coreutils' `timeout` has it), 125 for a limit, 134 for a trap (as a
shell reports SIGABRT), 2 for wrong usage or a module that cannot be run.

A plain run goes through `fast_path`, which imports no more than it needs. Everything else is imported where it is used.
"""

from __future__ import annotations

import gc
import os
import sys

from wasihost.cli.options import OPTIONS, STDIN, RunArguments
from wasihost.config import INHERIT, Inherit, ModuleConfig
from wasihost.errors import ExitError, GuestError, LimitExceeded, TimeoutExpired, TrapError, WasihostError
from wasihost.outcomes import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Sequence
    from typing import Any

    from wasihost.config.keywords import MountOptions, WritableMountOptions
    from wasihost.engines.values import OnCompile
    from wasihost.guest.module import ModuleSource
    from wasihost.imports import Provider, Providers
    from wasihost.packaging.precompiled import Precompiled
    from wasihost.profile import Profile
    from wasihost.stats import Refusal

else:
    import _signal as signal  # the same functions, without the enums of `signal`

TIMEOUT_STATUS = 124
LIMIT_STATUS = 125
TRAP_STATUS = 134
USAGE_STATUS = 2
_REFUSALS = 20  # that are printed
_MADE_AT_THE_END = ("stats", "profile", "policy", "learn", "record", "overlays", "trace_summary")
"""Options with which something is printed or written when the guest has ended, also by Ctrl-C."""
_NEED_INSTANCE = (*_MADE_AT_THE_END, "invoke", "preload", "stub", "bind", "replay")
"""Options of a run that is not plain."""


def launch(arguments: RunArguments) -> int:
    """Run the module. Returns the exit status; errors become messages on standard error."""
    kept = any(getattr(arguments, option) for option in _MADE_AT_THE_END)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler and not kept:  # ignored Ctrl-C stays ignored
        # The system's default costs nothing; with Python's handler, guests run code that can be interrupted.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _occupy_standard_descriptors()
    hint = interrupted = False
    try:
        if arguments.overlays or arguments.diff or arguments.apply or arguments.upper:
            from wasihost.cli.overlays import Overlays

            with Overlays(arguments) as overlays:
                status = overlays.status = _run(arguments, overlays.mounted(config_of(arguments)))
        else:
            status = _run(arguments, config_of(arguments))
        hint = status != 0
    except OSError as error:
        _print(f"{printable(str(error.filename or arguments.module))}: {error.strerror or error}")
        status = USAGE_STATUS
    except TimeoutExpired as error:
        _print(f"{printable(arguments.module)}: ended after {error.timeout:g} seconds")
        status = TIMEOUT_STATUS
    except LimitExceeded as error:
        _print(f"{printable(arguments.module)}: {error} (limit: {error.limit})")
        status = LIMIT_STATUS
    except TrapError as error:
        _print(str(error))
        status = TRAP_STATUS
        hint = True
    except WasihostError as error:
        _print(str(error))
        status = USAGE_STATUS
    except KeyboardInterrupt:
        interrupted, status = True, 128 + signal.SIGINT
    except Exception as error:
        if not (arguments.handlers or arguments.hooks or arguments.bind):
            raise
        from wasihost.cli.calls import failure

        _print(failure(error))
        status = USAGE_STATUS
    if interrupted:  # a shell stops its script only if the process was ended by the signal
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    if hint and arguments.args and arguments.invoke is None:
        from wasihost.cli.hints import unreachable

        if text := unreachable(arguments):
            _print(text)
    return status & 0xFF


def config_of(arguments: RunArguments) -> ModuleConfig:
    """The config that the options ask for. WasihostError for options that do not fit together."""
    own = "guest" if arguments.module == STDIN else os.path.basename(arguments.module)
    if arguments.precompiled and arguments.argv0 is None:
        own = _precompiled(arguments.module).name
    config = ModuleConfig().with_args(arguments.argv0 or own, *arguments.args)
    config = config.with_stdin(INHERIT).with_stdout(INHERIT).with_stderr(INHERIT)
    bounds: MountOptions = {"one_file_system": arguments.one_file_system, "kernel_files": arguments.kernel_files}
    writable: WritableMountOptions = {
        **bounds,
        "max_bytes": arguments.max_dir_bytes,
        "max_entries": arguments.max_dir_entries,
        "max_file_size": arguments.max_file_size,
    }
    for guest, host in arguments.dirs:
        config = config.with_host_directory_preopen(guest, host, **writable)
    for guest, host in arguments.ro_dirs:
        config = config.with_read_only_fs(guest, host, **bounds)
    for number, (host, port) in enumerate(arguments.tcplisten if arguments.replay is None else ()):
        listener = _listen(host, port)
        listener.setblocking(not arguments.tcp_nonblock)
        config = config.with_listener(f"tcplisten{number}", listener)
    if arguments.env_inherit:
        for name, value in os.environb.items():
            config = config.with_env(name, value)
    for variable, text in arguments.env:
        passed = os.environ.get(variable) if text is None else text
        if passed is not None:
            config = config.with_env(variable, passed)
        else:
            _print(
                f"--env {variable}: there is no such variable here, so the guest has none; give it a value: "
                f"--env {variable}=VALUE"
            )
    values = arguments._asdict()
    limits = {option.limit: values[option.field] for option in OPTIONS.values() if option.limit}
    if limits := {name: value for name, value in limits.items() if value is not None}:
        config = config.with_limits(**limits)
    if arguments.max_output is not None:
        from wasihost.config.limits import OutputLimit

        both = Inherit(None, OutputLimit(arguments.max_output))
        config = config.with_stdout(both).with_stderr(both)
    if arguments.handlers or arguments.hooks or arguments.trace is not None or arguments.trace_summary:
        from wasihost.cli.calls import with_calls

        config = with_calls(config, arguments)
    elif arguments.trace_to is not None or arguments.trace_format is not None:
        raise WasihostError("--trace-to and --trace-format are for a trace: add --trace or --trace-summary")
    return config


def _listen(host: str, port: int) -> socket.socket:
    """Open a listening socket. The port is printed on standard error if the system chose it.

    Raises:
        WasihostError: The system cannot listen on this address.
    """
    import socket

    shown = f"[{host}]" if ":" in host else host
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(where, family=family)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a host name with impossible characters
        raise WasihostError(f"cannot listen on {shown}:{port}: {getattr(error, 'strerror', None) or error}") from error
    except OSError as error:
        raise WasihostError(f"cannot listen on {shown}:{port}: {os.strerror(error.errno or 0)}") from error
    if not port:
        _print(f"listening on {shown}:{made.getsockname()[1]}")
    return made


def _run(arguments: RunArguments, config: ModuleConfig) -> int:
    progress = None
    if sys.stderr is not None and sys.stderr.isatty():
        from wasihost.cli.progress import Progress

        progress = Progress()
    if arguments.precompiled and arguments.engine:
        raise WasihostError("--precompiled has the code of one engine: leave out --engine")
    features = _features(arguments)
    if arguments.isolate:
        gc.enable()
        return _run_isolated(arguments, config, progress, features)
    if not any(getattr(arguments, option) for option in _NEED_INSTANCE):
        from wasihost.cli.fast_path import execute

        return execute(
            arguments.module if arguments.precompiled else _source(arguments.module),
            config,
            cache=not arguments.no_cache,
            timeout=arguments.timeout,
            on_compile=progress,
            features=features,
            precompiled=_precompiled(arguments.module) if arguments.precompiled else None,
            engine_name=arguments.engine,
        )
    gc.enable()
    import contextlib

    from wasihost.cli.stats_table import table
    from wasihost.embedding.instantiate import instantiate
    from wasihost.guest.instance import Instance

    provided = _provided(arguments)
    with contextlib.ExitStack() as stack:

        def make(
            module: ModuleSource,
            config: ModuleConfig,
            *imports: Provider,
            **own: Any,
        ) -> Instance:
            return stack.enter_context(
                instantiate(
                    module,
                    config,
                    timeout=arguments.timeout,
                    cache=not arguments.no_cache,
                    stats=arguments.stats,
                    imports=(*imports, *provided),
                    on_compile=progress,
                    features=features or None,
                    engine=arguments.engine,
                    **own,
                )
            )

        try:
            libraries = [
                make(_source(file), config.with_args(file)).as_imports(name) for name, file in arguments.preload
            ]
            own = {name: getattr(arguments, name) for name in ("policy", "learn", "record", "replay")}
            guest = make(_module(arguments), config, *libraries, profile=_profile(arguments), **own)
            if policy := arguments.policy:
                stack.callback(lambda: _print_refusals(policy, guest.stats.refusals))
            if arguments.stats:
                stack.callback(lambda: print(table(guest.stats), file=sys.stderr, flush=True))
            if arguments.invoke is None:
                return guest.run_to_end(arguments.timeout)
            from wasihost.cli.hints import numbers_for

            numbers = numbers_for(arguments.invoke, guest.module.exports, arguments.args)
            result = guest.call(arguments.invoke, *numbers, timeout=arguments.timeout)
        except ExitError as end:
            return end.code
        for number in result if isinstance(result, tuple) else [] if result is None else [result]:
            print(number, flush=True)
        return 0


def _features(arguments: RunArguments) -> str:
    if not arguments.features:
        return ""
    from wasihost.guest.module import canonical_features

    return canonical_features(",".join(arguments.features), arguments.engine)


def _run_isolated(arguments: RunArguments, config: ModuleConfig, progress: OnCompile | None, features: str) -> int:
    """Run the module in a separate process.

    Raises:
        WasihostError: An option was given that works only in this process.
    """
    if arguments.invoke or arguments.preload or arguments.stub or arguments.bind:
        raise WasihostError(
            "--isolate is for a program that stands alone: leave out --invoke, --preload, --bind and --stub"
        )
    for option in ("profile", "policy", "learn", "record", "replay", "handlers", "hooks", "trace", "trace_summary"):
        if getattr(arguments, option) not in (None, (), [], False):
            raise WasihostError(f"--{option.replace('_', '-')} looks at a guest in this process: leave out --isolate")
    from wasihost.cli.stats_table import table
    from wasihost.embedding.run import run

    stats = None
    try:
        done = run(
            _module(arguments),
            config,
            timeout=arguments.timeout,
            cache=not arguments.no_cache,
            stats=arguments.stats,
            on_compile=progress,
            features=features or None,
            engine=arguments.engine,
            isolation="process",
        )
        stats = done.stats
    except GuestError as error:
        stats = error.stats
        raise
    finally:
        if arguments.stats and stats is not None:
            print(table(stats), file=sys.stderr, flush=True)
    return done.returncode


def _module(arguments: RunArguments) -> ModuleSource:
    """The module, for a run that is not plain."""
    if not arguments.precompiled:
        return _source(arguments.module)
    from wasihost.packaging.module import load_precompiled

    return load_precompiled(arguments.module)


def _precompiled(folder: str) -> Precompiled:
    from wasihost.packaging.precompiled import read

    return read(folder)


def _source(module: str) -> str | bytes:
    """The path of the module, or its bytes from standard input.

    Raises:
        WasihostError: The module is to be read from a terminal.
    """
    if module != STDIN:
        return module
    if sys.stdin is None or sys.stdin.isatty():
        raise WasihostError("'-' reads the module from standard input: wasihost run - < FILE.wasm")
    return sys.stdin.buffer.read()


def _provided(arguments: RunArguments) -> list[Provider | Providers]:
    """Return the packages that are bound, and stubs."""
    provided: list[Provider | Providers] = []
    if arguments.bind:
        from wasihost.cli.calls import bindings

        provided += bindings(arguments)
    if arguments.stub:
        from wasihost.imports import Imports

        provided += [Imports.stub(name) for name in arguments.stub]
    return provided


def _print_refusals(policy: str, refusals: Sequence[Refusal]) -> None:
    for one in refusals[:_REFUSALS]:
        _print(f"{policy}: {one}")
    if len(refusals) > _REFUSALS:
        _print(f"{policy}: and {len(refusals) - _REFUSALS} more were refused")


def _profile(arguments: RunArguments) -> Profile | None:
    if not arguments.profile:
        return None
    from wasihost.profile import Profile

    return Profile(*arguments.profile)


def _occupy_standard_descriptors() -> None:
    """Open `/dev/null` as each of 0, 1 and 2 that was closed when this process started.

    Otherwise the next file to be opened would get the number, and the guest would have that file as its stream.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _print(text: str) -> None:
    """Print a message on standard error. Failures are ignored, because the exit status is enough."""
    text = "\n".join(map(printable, text.split("\n")))
    # Without it at the start of the process, `sys.stderr` is None or closed.
    try:
        print(f"wasihost: {text}", file=sys.stderr, flush=True)
    except (OSError, AttributeError, ValueError):
        pass
