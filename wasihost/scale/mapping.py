"""`map`: run a module once for each of many inputs.

Rules of this file: inputs are taken, and functions of the caller's called, in the thread that takes the results. There
are never more than `buffersize` inputs between the two, so there may be more inputs than fit into memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from wasihost.embedding.signatures import describe
from wasihost.errors import ConfigError
from wasihost.guest.module import name_of
from wasihost.guest.options import RunSetup
from wasihost.scale.progress import Progress, Reporter
from wasihost.scale.references import ModuleReference, shared_module
from wasihost.scale.results import MapResult, short
from wasihost.scale.tasks import Ran, Task, run_elsewhere, run_here
from wasihost.scale.threads import Guests, Threads, processors

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wasihost.config import ModuleConfig
    from wasihost.guest.module import ModuleSource
    from wasihost.guest.options import Options

Each: TypeAlias = "Literal['args', 'input', 'files'] | Callable[[Any], Mapping[str, Any]] | None"
"""What an input of `map` is: the option that it gives, or a function that makes options of it."""

_OUTPUTS: Final = {"stdout", "stderr", "capture_output"}
_PER_WORKER: Final = 4
"""Inputs that are submitted for each worker: one runs, and the next ones are there when it ends."""


@describe
def map(
    module: ModuleSource,
    inputs: Iterable[Any],
    config: ModuleConfig | None = None,
    *,
    each: Each = None,
    executor: Executor | None = None,
    jobs: int | None = None,
    buffersize: int | None = None,
    ordered: bool = True,
    retries: int = 0,
    on_error: Literal["raise", "return"] = "raise",
    progress: Progress = None,
    check: bool = False,
    **options: Unpack[Options],
) -> Generator[MapResult, None, None]:
    """Run a module once for each input, several at a time, and return the results as they come.

    The iterator that it returns takes inputs and starts runs while it is iterated. Closing it (`close()`, or the end of
    its last reference) cancels the inputs that wait and ends the guests that run in this process; so does an exception,
    Ctrl-C among them, that is raised while it waits. Guests that a process of an executor runs come to their own end.

    Args:
        module: As for `run`. It is compiled once.
        inputs: What to run it for; may be endless. By itself, a str or a path is one argument of the guest, a list or a
            tuple its arguments, bytes are what it reads (`input`), and a mapping has options of `run`.
        config: As for `run`.
        each: What an input is instead: "args", "input" or "files", or a function that is called with it (in this
            process) and returns options of `run` as a mapping.
        executor: Where to run: any `concurrent.futures.Executor`, which stays open. Without it, threads.
        jobs: How many threads, where there is no `executor`. Default: one for each processor.
        buffersize: How many inputs are submitted and not yet returned, at most. Default: 4 for each worker.
        ordered: Return the results in the order of the inputs; False returns each as soon as it is there.
        retries: How often an input is run again after an error. An exit status is no error without `check`.
        on_error: What to do with an error: "raise" it, with a note that names the input, which ends everything; or
            "return" it, as the `error` of a result.
        progress: True for a bar of tqdm, or a function that is called with the number of results so far and of all
            inputs (None if `inputs` has no length).
        check: As for `run`: an exit status that is not 0 is an error, CalledProcessError.
        **options: Options of all runs; see `wasihost.Options`. Where an input has the same option, it has that one;
            its arguments follow those of `args`, its files are added to `files`. Output is captured unless an option
            says where it goes.

    Returns:
        An iterator of a `MapResult` for each input.

    Raises:
        ModuleError: The module is not valid. This, as every error about the call, is raised at once.
        ConfigError: An option cannot work.
        OSError: The module's file cannot be read.
        Exception: With `on_error="raise"`, what ended the run of an input, as `run` raises it; what `inputs` or `each`
            raised.
    """
    if on_error not in ("raise", "return"):
        raise ConfigError(f'on_error cannot be {on_error!r}: pass "raise" or "return"')
    if each not in (None, "args", "input", "files") and not callable(each):
        raise ConfigError(f'each cannot be {each!r}: pass "args", "input", "files" or a function')
    if isinstance(inputs, (str, bytes)) or not hasattr(inputs, "__iter__"):
        raise ConfigError(f"inputs cannot be {short(inputs)}: pass a list, or anything else that yields one input each")
    if executor is not None and jobs is not None:
        raise ConfigError("jobs is the number of threads of a map without executor: leave it out, or pass buffersize")
    for name, number, least in (("jobs", jobs, 1), ("buffersize", buffersize, 1), ("retries", retries, 0)):
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < least):
            raise ConfigError(f"{name} cannot be {number!r}: pass a whole number, {least} or more")
    common: dict[str, Any] = dict(options)
    if common.get("profile") is not None:
        raise ConfigError(
            "a profile is that of one run: let `each` return a profile for its input, with a name of its own"
        )
    if not _OUTPUTS & common.keys():
        common["capture_output"] = True
    RunSetup(module, config, common)  # ConfigError now, not with the first input
    return _results(
        _Source(inputs, each, common),
        _Runner(module, common, Task(config, retries, check), executor, jobs),
        buffersize,
        ordered,
        on_error == "raise",
        Reporter(progress, _length(inputs), name_of(module)),
    )


def _length(inputs: Iterable[Any]) -> int | None:
    return len(inputs) if isinstance(inputs, Sized) else None


class _Source:
    """The inputs, and the options that each gives its run."""

    def __init__(self, inputs: Iterable[Any], each: Each, common: Mapping[str, Any]) -> None:
        self._inputs = inputs
        self._each = each
        self._common = common

    def __iter__(self) -> Iterator[tuple[int, Any, Mapping[str, Any]]]:
        for index, input in enumerate(self._inputs):
            try:
                own = dict(self._options(input))
            except Exception as error:
                error.add_note(_about(index, input))
                raise
            common = self._common
            if own.get("args") is not None and not isinstance(own["args"], (str, bytes)) and common.get("args"):
                own["args"] = [*common["args"], *own["args"]]
            if own.get("files") is not None and common.get("files"):
                own["files"] = {**common["files"], **own["files"]}
            yield index, input, {**common, **own}

    def _options(self, input: Any) -> Mapping[str, Any]:
        each = self._each
        if callable(each):
            made = each(input)
            if not isinstance(made, Mapping):
                raise ConfigError(
                    f"each returned {short(made)}: it has to return options of run, such as {{'args': []}}"
                )
            return made
        if each == "input" or (each is None and isinstance(input, (bytes, bytearray, memoryview))):
            return {"input": input}
        if each == "files":
            return {"files": input}
        if isinstance(input, (str, os.PathLike)):
            return {"args": [os.fspath(input)]}
        if each is None and isinstance(input, Mapping):
            return input
        if isinstance(input, Sequence):
            return {"args": [os.fspath(one) for one in input]}
        raise ConfigError(
            f"an input cannot be {short(input)}: pass text, bytes, a list of arguments or a mapping of options; or pass"
            " each, a function that makes options of it"
        )


class _Runner:
    """Where the runs happen: threads of this process, or whatever the executor has."""

    def __init__(
        self, module: ModuleSource, options: dict[str, Any], task: Task, executor: Executor | None, jobs: int | None
    ) -> None:
        self.module = shared_module(module, options)
        self._task = task
        self._own = executor is None
        self.executor: Executor = Threads(jobs or processors()) if executor is None else executor
        self.workers: int = (jobs or processors()) if executor is None else workers_of(executor)
        self.guests: Guests | None = None
        self._reference: ModuleReference | None = None
        self._content: bytes | None = None
        if self._own or is_here(self.executor):
            self.guests = Guests()
        else:
            self._reference = ModuleReference.of(self.module)
            if (client := _client_of(self.executor)) is not None:
                from wasihost.scale.cluster import publish

                publish(client, self.module)

    def submit(self, options: Mapping[str, Any], *, with_content: bool = False) -> Future[Any]:
        if self._reference is None:
            return self.executor.submit(run_here, self.module, self._task, options, self.guests)
        if with_content and self._content is None:
            self._content = self.module.content()
        content = self._content if with_content else None
        return self.executor.submit(run_elsewhere, self._reference, content, self._task, options)

    def close(self, left: Sequence[Future[Any]]) -> None:
        """Cancel what waits, end what runs here, and wait for that."""
        for future in left:
            future.cancel()
        if self.guests is not None:
            self.guests.close("the map was closed")
        if self._own:
            self.executor.shutdown(cancel_futures=True)
        elif self.guests is not None:
            wait([future for future in left if not future.cancelled()])


def is_here(executor: Executor) -> bool:
    """Whether an executor's workers are threads of this process, in this interpreter."""
    if type(executor).__name__ == "InterpreterPoolExecutor":
        return False
    return isinstance(executor, (ThreadPoolExecutor, Threads))


def workers_of(executor: Executor) -> int:
    """How many tasks an executor runs at once, if it says so; else the number of processors."""
    count: Any = getattr(executor, "_max_workers", None)
    if not isinstance(count, int) and (client := _client_of(executor)) is not None:
        count = sum(client.ncores().values())
    return count if isinstance(count, int) and count else processors()


def _client_of(executor: Executor) -> Any:
    """The client whose executor it is, if it is one of Dask's, as `Client.get_executor()` makes them."""
    client: Any = getattr(executor, "_client", None)
    return client if hasattr(client, "ncores") and hasattr(client, "register_plugin") else None


def _results(
    source: _Source, runner: _Runner, buffersize: int | None, ordered: bool, raises: bool, reporter: Reporter
) -> Generator[MapResult, None, None]:
    most = buffersize or _PER_WORKER * runner.workers
    waiting: dict[Future[Any], tuple[int, Any, Mapping[str, Any]]] = {}
    finished: SimpleQueue[Future[Any]] = SimpleQueue()

    def submit(item: tuple[int, Any, Mapping[str, Any]], *, with_content: bool = False) -> Future[Any]:
        try:
            future = runner.submit(item[2], with_content=with_content)
        except Exception as error:
            error.add_note(_about(*item[:2]))
            raise
        waiting[future] = item
        if not ordered:
            future.add_done_callback(finished.put)
        return future

    try:
        items, more = iter(source), True
        while more or waiting:
            while more and len(waiting) < most:
                item = next(items, None)
                if item is None:
                    more = False
                else:
                    submit(item)
            if not waiting:
                break
            future = next(iter(waiting)) if ordered else finished.get()
            ran = _outcome(future, *waiting[future][:2], raises)
            if ran == "missing":  # it was the first run of its process
                future = submit(waiting.pop(future), with_content=True)
                if not ordered:
                    continue
                ran = _outcome(future, *waiting[future][:2], raises)
            index, input, _ = waiting.pop(future)
            if ran.error is not None and raises:
                ran.error.add_note(_about(index, input))
                raise ran.error
            reporter.step()
            result = MapResult(index, input, *ran)
            del future, ran, input
            yield result
            del result
    finally:
        runner.close([*waiting])
        reporter.close()


def _outcome(future: Future[Any], index: int, input: Any, raises: bool) -> Any:
    try:
        return future.result()
    except Exception as error:  # of the executor: its worker died, or what was sent does not pickle
        if raises or future.cancelled() or isinstance(error, BrokenExecutor):  # nothing more can come of it
            error.add_note(_about(index, input))
            raise
        return Ran(None, error, 1)


def _about(index: int, input: Any) -> str:
    return f"for input {index} of wasihost.map: {short(input)}"
