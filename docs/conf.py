"""How `make site` builds the documentation: docs/*.md, which GitHub shows too, and docs/site/, which only the site has.

Rules: pages link to each other as files, so that the links work on GitHub; a link to what is outside docs/ leads to the
site's copy of it, or to the repository. A warning is an error.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "https://github.com/wasihost/wasihost/blob/main/"

project = "wasihost"
author = "the wasihost authors"
project_copyright = author
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["README.md"]  # the repository's index; index.md includes it
html_theme = "furo"
html_title = f"wasihost {version}"
html_theme_options = {
    "source_repository": "https://github.com/wasihost/wasihost/",
    "source_branch": "main",
    "source_directory": "docs/",
}
html_show_sphinx = False
pygments_style = "friendly"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

default_role = "code"  # docstrings have `names` in single backticks, as Markdown has them
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(asyncio|collections|enum|os|socket|subprocess|typing|wasmtime)\..*"),  # other projects' pages
    (
        r"py:.*",
        r"(_native|wasihost|wasi_preview1)\..*",
    ),  # a private module's name for what is public elsewhere, or is not
    (r"py:class", r".*<wasi_preview1\.light_typing\.TypeVar object at .*"),  # at run time a type variable has no name
    (r"py:class", r"[A-Z]\w*(\[.*)?"),  # aliases of types that annotations name, and the first part of one with a comma
]

COPIES = {
    f"site/{name.lower()}": f"{name}.md"
    for name in ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "RATIONALE", "SECURITY")
}
"""Pages of the site that are files of the repository's root."""

PAGE_OF = {file: f"docs/{page}.md" for page, file in COPIES.items()} | {"docs/README.md": "docs/index.md"}
CODE_OR_LINK = re.compile(r"^```.*?^```$|`[^`\n]+`|\]\(([^)#:]+)(#[^)]*)?\)", re.MULTILINE | re.DOTALL)


def read_page(_app: Sphinx, page: str, source: list[str]) -> None:
    """Fill in the copies, and make links to what is outside docs/ lead to the copy of it, or to the repository."""
    here = f"docs/{page}.md"
    if page in COPIES:
        source[0] = (ROOT / COPIES[page]).read_text(encoding="utf-8")
        base = ""
    else:
        base = posixpath.dirname(here)

    def link(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        file = posixpath.normpath(posixpath.join(base, match[1]))
        file = PAGE_OF.get(file, file)
        inside = file.startswith("docs/")
        target = posixpath.relpath(file, posixpath.dirname(here)) if inside else SOURCE + file
        return f"]({target}{match[2] or ''})"

    source[0] = CODE_OR_LINK.sub(link, source[0])


def read_docstring(app: Sphinx, what: Any, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn `Args:` and the like into fields; napoleon as an extension takes "Text: more" of an attribute for a type."""
    if what in ("module", "class", "exception", "function", "method"):
        config: Any = Config()
        lines[:] = GoogleDocstring(lines, config, app, what, name, obj, options).lines()


def analyze(self: ModuleAnalyzer, original: Callable[[ModuleAnalyzer], None] = ModuleAnalyzer.analyze) -> None:
    """Show one signature of a function, not each overload: they are for type checkers."""
    original(self)
    self.overloads.clear()


def setup(app: Sphinx) -> None:
    ModuleAnalyzer.analyze = analyze  # type: ignore[method-assign]  # Sphinx has no option for it
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("source-read", read_page)
