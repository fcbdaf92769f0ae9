"""The runs of `wasihost map`: each file is an input, and has an output of its own.

Rules of this file: an output gets its name when it is complete. Nothing is written over an input, and no two inputs
have one output. What fails is printed, counted, and changes the exit status of the command; the others run on.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, NoReturn

from wasihost.cli.launch import LIMIT_STATUS, TIMEOUT_STATUS, TRAP_STATUS, USAGE_STATUS, config_of
from wasihost.cli.options import RunArguments
from wasihost.cli.records import FOLDER, Records
from wasihost.config.inherit import Inherit
from wasihost.config.limits import OutputLimit
from wasihost.errors import LimitExceeded, TimeoutExpired, TrapError, WasihostError
from wasihost.guest.options import PIPE
from wasihost.outcomes import printable
from wasihost.scale.mapping import map
from wasihost.scale.references import digest_of
from wasihost.scale.results import MapResult
from wasihost.vfs import MemoryFS

_IN: Final = "/in"
_OUT: Final = "/out"
_STATUSES: Final = ((TimeoutExpired, TIMEOUT_STATUS), (LimitExceeded, LIMIT_STATUS), (TrapError, TRAP_STATUS))

_OPTIONS: Final = [
    "args",
    "argv0",
    "dirs",
    "ro_dirs",
    "env",
    "env_inherit",
    "features",
    "handlers",
    "hooks",
    "kernel_files",
    "one_file_system",
]
"""What an output may depend on. Limits do not count: what they ended has no output."""


class Item:
    """One file: `path` as it was given, and the path of its output, if that is a file."""

    def __init__(self, number: int, path: str, output: str | None) -> None:
        self.number = number
        self.path = path
        self.output = output
        self.facts: dict[str, Any] = {}
        self.part = ""  # where its output is while it is written
        self.fds: list[int] = []
        self.written: MemoryFS | None = None
        self.begun: float = 0.0

    def close(self) -> None:
        """Close what the run used."""
        while self.fds:
            os.close(self.fds.pop())


def run_batch(
    arguments: RunArguments,
    files: tuple[str, ...],
    jobs: int | None,
    out: str | None,
    name: str,
    resume: bool,
    accept: frozenset[int],
    progress: bool,
) -> int:
    """Run all, and print a summary. Returns the exit status of the command."""
    signal.signal(signal.SIGTERM, _terminated)
    batch, ended_by = None, 0
    try:
        items = [Item(number, file, None) for number, file in enumerate(files, 1)]
        if out is not None:
            name_outputs(items, out, name)
        batch = Batch(arguments, out, name, resume, accept)
        return batch.run(items, jobs, progress)
    except KeyboardInterrupt:
        ended_by = signal.SIGINT
        if batch is not None:
            batch.summary("interrupted")
    except BrokenPipeError:
        ended_by = signal.SIGPIPE
    except OSError as error:
        _print(f"{error.filename or arguments.module}: {error.strerror or error}")
        return USAGE_STATUS
    except WasihostError as error:
        _print(str(error))
        return USAGE_STATUS
    finally:
        if batch is not None:
            batch.close()
    return _die_by(ended_by)


def name_outputs(items: list[Item], out: str, template: str) -> None:
    """Give each item the path of its output.

    Raises:
        WasihostError: Two items would have the same one, or a name cannot be one.
    """
    taken: dict[str, str] = {}
    for item in items:
        base = os.path.basename(item.path)
        stem, suffix = os.path.splitext(base)
        path = os.path.normpath(item.path).lstrip("/")
        try:
            made = template.format(name=base, stem=stem, suffix=suffix, path=path, number=item.number)
        except (KeyError, IndexError, ValueError, AttributeError):
            raise WasihostError(
                f"--name {template}: write {{name}}, {{stem}}, {{suffix}}, {{path}} or {{number}}"
            ) from None
        inside = os.path.normpath(made)
        if not made or made.endswith("/") or inside in (".", "..") or inside.startswith(("/", "../")) or "\0" in inside:
            raise WasihostError(f"{item.path}: its output cannot have the name {made!r} in {out}")
        if inside.split("/")[0] == FOLDER:
            raise WasihostError(f"{item.path}: its output cannot be in {FOLDER}, where the records are: give --name")
        key = inside.casefold() if sys.platform == "darwin" else inside
        if key in taken:
            advice = "name each file once" if taken[key] == item.path else "tell them apart by --name '{path}'"
            raise WasihostError(f"{taken[key]} and {item.path} would both be written to {inside} in {out}: {advice}")
        taken[key] = item.path
        item.output = os.path.join(out, inside)


class Batch:
    """One command: what it runs, and what has become of the files. Close it."""

    def __init__(
        self, arguments: RunArguments, out: str | None, name: str, resume: bool, accept: frozenset[int]
    ) -> None:
        self._arguments = arguments
        self._accept = accept
        self._config = config_of(arguments)
        self._as_file = any("{}" in one for one in arguments.args)
        self._to_file = any("{out}" in one for one in arguments.args)
        self._counts = {"done": 0, "failed": 0, "skipped": 0}
        self._begun = time.monotonic()
        self._open: dict[int, Item] = {}
        self._sources: set[tuple[int, int]] = set()
        self._records: Records | None = None
        if out is not None:
            values = arguments._asdict()
            options = _digest(repr([(one, values[one]) for one in _OPTIONS]))
            recipe = {"module": digest_of(arguments.module), "options": options, "--name": name}
            self._records = Records(out, recipe, resume)

    def run(self, items: list[Item], jobs: int | None, progress: bool) -> int:
        arguments = self._arguments
        if self._records is not None:
            for item in items:
                try:
                    about = os.stat(item.path)
                    self._sources.add((about.st_dev, about.st_ino))
                except OSError:
                    pass  # reported when its turn comes
        results = map(
            arguments.module,
            _Counted(self._ready(items), len(items)),
            self._config,
            each=self._options,
            jobs=jobs,
            ordered=self._records is None,
            on_error="return",
            progress=progress,
            timeout=arguments.timeout,
            cache=not arguments.no_cache,
            features=",".join(arguments.features) if arguments.features else None,
            isolation="process" if arguments.isolate else None,
            stderr=PIPE,
        )
        with closing(results):
            for result in results:
                self._finish(result)
        self.summary()
        return 1 if self._counts["failed"] else 0

    def _ready(self, items: list[Item]) -> Iterator[Item]:
        """The items that have to run, one after another, opened."""
        for item in items:
            try:
                if self._opened(item):
                    yield item
            except OSError as error:
                item.close()
                self._fail(item, USAGE_STATUS, error.strerror or str(error))

    def _opened(self, item: Item) -> bool:
        source = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC)
        item.fds.append(source)
        about = os.fstat(source)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(0, "is a directory")
        item.facts = {"size": about.st_size, "mtime_ns": about.st_mtime_ns}
        if self._records is not None and item.output is not None:
            if self._records.done(item.path, item.facts, item.output):
                self._counts["skipped"] += 1
                item.close()
                return False
            try:
                there = os.lstat(item.output)
            except OSError:
                pass
            else:
                if (there.st_dev, there.st_ino) in self._sources:
                    raise OSError(0, f"its output would be written over the input {item.output}")
            item.part = os.path.join(self._records.folder, f"{item.number}.part")
            item.fds.append(os.open(item.part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666))
        item.begun = time.monotonic()
        self._open[item.number] = item
        return True

    def _options(self, item: Item) -> dict[str, Any]:
        """The options of a run."""
        base = os.path.basename(item.path)
        words = [one.replace("{out}", f"{_OUT}/{base}").replace("{}", f"{_IN}/{base}") for one in self._arguments.args]
        options: dict[str, Any] = {"args": words, "stdout": PIPE}
        if self._as_file:
            with open(item.fds[0], "rb", closefd=False) as file:
                options["ro_dirs"] = {_IN: MemoryFS({base: file.read()})}
        else:
            options["stdin"] = item.fds[0]
        if self._to_file:
            item.written = MemoryFS()
            options["dirs"] = {_OUT: item.written}
        elif item.part:
            most = self._arguments.max_output
            options["stdout"] = Inherit(item.fds[1], None if most is None else OutputLimit(most))
        return options

    def _finish(self, result: MapResult) -> None:
        item: Item = result.input
        status = self._status(result)
        if self._to_file and result.stdout:
            _pass_on(item.path, result.stdout)
        if result.stderr:
            _pass_on(item.path, result.stderr)
        why = "" if result.error is None else str(result.error).partition("\n")[0]
        try:
            if status in self._accept and result.error is None:
                self._keep(item, result)
                self._record(item, status, ok=True)
                self._counts["done"] += 1
                return
        except BrokenPipeError:
            raise
        except OSError as error:
            status, why = USAGE_STATUS, error.strerror or str(error)
        finally:
            item.close()
            self._open.pop(item.number, None)
        self._fail(item, status, why)

    def _keep(self, item: Item, result: MapResult) -> None:
        """Let the output have its name. OSError if it cannot."""
        if item.output is None:
            sys.stdout.buffer.write(result.stdout)
            sys.stdout.buffer.flush()
            return
        if item.written is not None:
            base = os.path.basename(item.path)
            if base not in item.written:
                raise OSError(0, f"it wrote no {_OUT}/{base}")
            with open(item.fds[1], "wb", closefd=False) as file:
                file.write(item.written[base])
        item.facts["bytes"] = os.fstat(item.fds[1]).st_size
        os.makedirs(os.path.dirname(item.output), exist_ok=True)
        os.rename(item.part, item.output)

    def _fail(self, item: Item, status: int, why: str) -> None:
        self._counts["failed"] += 1
        if item.part:
            os.unlink(item.part)
        _print(f"{item.path}: {why or f'exit status {status}'}")
        self._record(item, status, ok=False, error=why or None)

    def _record(self, item: Item, status: int, **more: Any) -> None:
        if self._records is not None:
            seconds = round(time.monotonic() - item.begun, 6) if item.begun else 0
            self._records.add(
                {"input": item.path, "output": item.output, "status": status, "seconds": seconds, **item.facts, **more}
            )

    def _status(self, result: MapResult) -> int:
        if result.returncode is not None:
            return result.returncode
        return next((status for kind, status in _STATUSES if isinstance(result.error, kind)), USAGE_STATUS)

    def summary(self, word: str = "") -> None:
        """Print what became of the files."""
        counts = self._counts
        text = f"{counts['done']} done, {counts['failed']} failed"
        if counts["skipped"]:
            text += f", {counts['skipped']} skipped (done before)"
        _print(f"{word}{': ' * bool(word)}{text}, in {time.monotonic() - self._begun:.1f} s")

    def close(self) -> None:
        """Remove what is not complete."""
        for item in self._open.values():
            item.close()
            if item.part and os.path.exists(item.part):
                os.unlink(item.part)
        self._open.clear()
        if self._records is not None:
            self._records.close()
            self._records = None


class _Counted:
    """An iterable with a length."""

    def __init__(self, items: Iterator[Item], length: int) -> None:
        self._items = items
        self._length = length

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __len__(self) -> int:
        return self._length


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _pass_on(name: str, content: bytes) -> None:
    """Print what a program wrote, each line behind the name of its file."""
    for line in content.decode("utf-8", "replace").splitlines():
        print(f"{printable(name)}: {printable(line)}", file=sys.stderr)
    sys.stderr.flush()


def _print(text: str) -> None:
    print(f"wasihost map: {printable(text)}", file=sys.stderr, flush=True)


def _terminated(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _die_by(number: int) -> NoReturn:
    """End as a shell expects it of a program that a signal ended."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    sys.exit(128 + number)
