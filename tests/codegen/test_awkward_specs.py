"""Specs that are valid and odd: each becomes a package that works, or is refused in words that say what to do."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from witxgen.errors import WitxError
from witxgen.output import write
from witxgen.render import render
from witxgen.resolve import load

ROOT = Path(__file__).resolve().parents[2]
ERROR = "(typename $size u32) (typename $error (enum (@witx tag u16) $none $inval $io))"


def module(*functions: str) -> str:
    """A module `m` of functions `f`, `g`, ... with these parameters and results."""
    body = " ".join(f'(@interface func (export "{name}") {text})' for name, text in zip("fgh", functions, strict=False))
    return f"(module $m {body})"


SPECS = {
    "odd_spelled": f"""{ERROR} (typename $side (enum $ok $err))
        (typename $answer (variant (@witx tag $side) (case $ok $size) (case $err $error)))
        {module("(result $r $answer)")}""",
    "odd_named": f"""{ERROR} (typename $answer (expected (tuple $size $size) (error $error))) (typename $other $answer)
        {module("(result $r $other)")}""",
    "odd_choice": "(typename $side (enum (@witx tag u64) $ok $err))" + module("(result $r $side)"),
    "odd_char": module("(result $r char)", "(param $p (@witx pointer u16)) (result $r (@witx pointer u16))"),
    "odd_pairs": f"""{ERROR} (typename $iovec (record (field $buf (@witx pointer u8)) (field $buf_len u32)))
        (typename $answer (expected $size (error $error)))
        {
        module(
            "(param $path string) (param $path_len $size) (param $result (@witx pointer u8)) (result $n $answer)",
            "(param $buffer (list $iovec)) (param $buffer_at u32) (result $n $answer)",
            "(param $in u8) (param $in_ u8) (param $a-b string) (param $a_b_bytes u8)",
        )
    }""",
    "odd_records": f"""(typename $inner (record (field $b u32)))
        (typename $pair (tuple u8 $inner))
        (typename $outer (record (field $a_b u16) (field $a $inner) (field $at u8) (field $types u8) (field $p $pair)))
        {module("(param $x (@witx pointer $outer)) (param $y (list $pair))")}""",
    "odd_shadows": f"""(typename $text u8) (typename $bytes (enum $name $value $mro $_x $__y__))
        (typename $u32 (record (field $int u8) (field $float u8) (field $Text $text)))
        (typename $bits (flags $mask $_0))
        {module("(param $u32 (@witx pointer $u32)) (param $bytes $bytes)")}""",
    "odd_variants": f"""{ERROR} (typename $side (enum (@witx tag u8) $left $right))
        ;;; Which way.
        (typename $way (variant (@witx tag $side)
            ;;; The other way.
            (case $right) (case $left)))
        (typename $wide (variant (@witx tag u64) (case $a) (case $b)))
        (typename $both (record (field $way $way) (field $wide $wide)))
        (typename $answer (expected $way (error $error)))
        {module("(param $way $way) (param $wide $wide) (param $ways (list $way)) (result $r $answer)")}""",
    "odd_types_alone": """(typename $hue (enum (@witx tag u8) $red $green)) (typename $marks (flags $a $b))
        (typename $point (record (field $x u16) (field $hue $hue)))
        (typename $shape (variant (case $dot $point) (case $void))) (typename $name string)
        (@witx const $marks $both 3)
        (module $m (import "memory" (memory)))""",
    "odd_modules": '(module $a (@interface func (export "f")) (@interface func (export "b_f")))'
    ' (module $b (@interface func (export "f")) (@interface func (export "len") (param $s string)))',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every package, importable."""
    parent = tmp_path_factory.mktemp("awkward")
    for name, text in SPECS.items():
        (parent / f"{name}.witx").write_text(text)
        write(render(load([parent / f"{name}.witx"]), name), parent / name)
    sys.path.insert(0, str(parent))
    yield parent
    sys.path.remove(str(parent))
    for name in [name for name in sys.modules if name.partition(".")[0] in SPECS]:
        del sys.modules[name]


@pytest.mark.parametrize("tool", ["mypy --strict --no-incremental --config-file", "ruff check --no-cache --config",
                                  "ruff format --check --diff --no-cache --config"])  # fmt: skip
def test_generated_packages_pass_ruff_and_mypy(folder: Path, tool: str) -> None:
    command = [sys.executable, "-m", *tool.split(), str(ROOT / "pyproject.toml"), *SPECS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def bound(name: str, answer: Callable[..., Any]) -> tuple[ModuleType, Any, bytearray]:
    """The package, its stubs over handlers that all call `answer`, and the guest's memory."""
    package, memory = importlib.import_module(name), bytearray(b"\xaa" * 256)
    methods = {method: lambda _self, *args: answer(*args) for method in package.Handlers.__abstractmethods__}
    guest = package.Guest(lambda: memory, lambda _error: 2)
    return package, package.bind(type("All", (package.Handlers,), methods)(), guest), memory


@pytest.mark.usefixtures("folder")
class TestResults:
    def test_a_variant_of_ok_and_err_is_a_result(self) -> None:
        package, stubs, memory = bound("odd_spelled", lambda: 7)
        assert stubs["m"]["f"](8) == 0
        assert memory[4:16] == b"\xaa" * 4 + b"\x07\0\0\0" + b"\xaa" * 4
        assert package.SIGNATURES["m"]["f"].slots == "I"

    def test_an_expected_may_have_a_name(self) -> None:
        package, stubs, memory = bound("odd_named", lambda: (7, 8))
        assert stubs["m"]["f"](8, 16) == 0
        assert (memory[8], memory[16]) == (7, 8)
        assert not hasattr(package, "Answer")

        def fail() -> None:
            raise package.WasiError(package.Error.IO)

        assert bound("odd_named", fail)[1]["m"]["f"](8, 16) == 2

    def test_an_enum_of_ok_and_err_is_itself(self) -> None:
        package, stubs, _ = bound("odd_choice", lambda: 1)
        assert stubs["m"]["f"]() == 1
        assert package.SIGNATURES["m"]["f"] == ((), ("i64",), "", "Q")

    def test_a_character_and_a_pointer_are_numbers(self) -> None:
        assert bound("odd_char", lambda: "é")[1]["m"]["f"]() == 0xE9
        assert bound("odd_char", lambda pointer: pointer.offset(3))[1]["m"]["g"](10) == 16


@pytest.mark.usefixtures("folder")
def test_a_variant_without_payloads_is_an_enum() -> None:
    package, stubs, memory = bound("odd_variants", lambda way, wide, ways: [way, wide, *ways][2])
    types = package.types
    assert [(case.name, int(case)) for case in types.Way] == [("LEFT", 0), ("RIGHT", 1)]
    assert [(case.name, int(case)) for case in types.Wide] == [("A", 0), ("B", 1)]
    assert types.Way.__doc__.startswith("Which way.\n\n    witx `way`: enum of u8, size 1, align 1.")
    memory[32:34] = b"\1\0"
    assert stubs["m"]["f"](1, 1, 32, 2, 8) == 0
    assert memory[7:10] == b"\xaa\1\xaa"
    assert stubs["m"]["f"](2, 1, 32, 2, 8) == stubs["m"]["f"](1, 2, 32, 2, 8) == 1  # `inval`: no such case
    assert package.SIGNATURES["m"]["f"].params == ("i32", "i32", "i32", "i32", "i32")
    guest = package.Guest(lambda: memory, lambda _error: 0)
    guest.refresh()
    package.codecs.BOTH.put(guest, 64, types.Both(types.Way.RIGHT, types.Wide.A))
    assert memory[64:80] == b"\1" + bytes(15)


def test_types_alone_become_a_package_without_functions(folder: Path) -> None:
    package, memory = importlib.import_module("odd_types_alone"), bytearray(16)
    codecs, types = importlib.import_module("odd_types_alone.codecs"), package.types
    assert not any(hasattr(package, name) for name in ("Handlers", "bind", "RawAbi", "SIGNATURES"))
    assert not any((folder / "odd_types_alone" / name).exists() for name in ("handlers.py", "raw.py", "stubs.py"))
    guest = package.Guest(lambda: memory, lambda _error: 0)
    guest.refresh()
    value = package.ShapeDotCase(package.Point(0x1234, package.Hue.GREEN))
    codecs.SHAPE.put(guest, 0, value)
    assert memory == b"\0\0\0\0\x34\x12\1" + bytes(9)
    assert codecs.SHAPE.get(guest, 0) == value
    assert types.MARKS_BOTH == package.Marks.A | package.Marks.B


@pytest.mark.usefixtures("folder")
class TestNames:
    def test_numbers_of_a_stub_never_share_a_name(self) -> None:
        calls: list[tuple[Any, ...]] = []

        def answer(*args: Any) -> int:
            calls.append(args)
            return 5

        _, stubs, memory = bound("odd_pairs", answer)
        memory[32:35] = b"abc"
        assert stubs["m"]["f"](32, 3, 99, 48, 8) == 0
        assert calls[0][:2] == ("abc", 99)
        assert calls[0][2].address == 48
        memory[64:72] = b"\x20\0\0\0\x03\0\0\0"
        assert stubs["m"]["g"](64, 1, 77, 8) == 0
        assert (calls[1][0][0].tobytes(), calls[1][1]) == (b"abc", 77)
        memory[64:72] = b"\x20\0\0\0\0\x03\0\0"
        with pytest.raises(Exception, match="bytes 0x20 to 0x320"):
            stubs["m"]["g"](64, 1, 77, 8)
        assert stubs["m"]["h"](1, 2, 32, 3, 4) is None
        assert calls[2] == (1, 2, "abc", 4)

    def test_a_flattened_record_keeps_its_fields_apart(self) -> None:
        package, _, memory = bound("odd_records", lambda *_: None)
        types, guest = package.types, package.Guest(lambda: memory, lambda _error: 0)
        guest.refresh()
        value = types.Outer(1, types.Inner(2), 3, 4, (5, types.Inner(6)))
        package.codecs.OUTER.put(guest, 0, value)
        assert memory[:20] == b"\1\0\0\0\2\0\0\0\3\4\0\0\5\0\0\0\6\0\0\0"
        assert package.codecs.OUTER.get(guest, 0) == value

    def test_names_that_mean_something_in_python(self) -> None:
        package, _, _ = bound("odd_shadows", lambda *_: None)
        assert package.types.U32._fields == ("int_", "float_", "text")
        assert [member.name for member in package.Bytes] == ["NAME", "VALUE", "MRO", "X", "Y__"]
        assert package.Bits(3).MASK == 3
        assert repr(package.Bits(3)) == "Bits.MASK_|Bits.N0"

    def test_functions_of_several_modules(self) -> None:
        package, stubs, memory = bound("odd_modules", len)
        assert sorted(package.Handlers.__abstractmethods__) == ["b_f", "b_f_", "f", "len"]
        memory[:2] = b"hi"
        assert stubs["b"]["len"](0, 2) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(typename $a-b u8) (typename $a_b u8)", "the type `$a_b` and the type `$a-b` would both be `AB` in Python"),
        ("(typename $e (enum $a $A))", "the case `$A` of `$e` and the case `$a` of `$e` would both be `A`"),
        ("(typename $r (record (field $x u8) (field $_x u8)))", "the field `$_x` of `$r` and the field `$x` of `$r`"),
        ("(typename $a (variant (case $b u8))) (typename $a_b_case u8)", "`$b` of `$a` would both be `ABCase`"),
        ("(typename $e_values (enum $a)) (typename $e (enum $a))", "would both be `E_VALUES`"),
        ("(typename $m_handlers u8)", "the class of `m` and the type `$m_handlers` would both be `MHandlers`"),
        ("(typename $v (variant))", "`v` has no cases; a type without values cannot be passed"),
        ("(typename $t (tuple)) (typename $l (list $t))", "`l` lists or points at values of no bytes"),
        (f"{ERROR} (typename $x (expected $size (error $error))) (typename $r (record (field $f $x)))",
         "`r` holds an `expected`, which only a result can be"),
    ],
)  # fmt: skip
def test_types_that_python_cannot_tell_apart_or_make(tmp_path: Path, text: str, message: str) -> None:
    refused(tmp_path, f"{text} {module('')}", message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("(error)", "the error of `f` has no type; name an enum of the errors"),
        ("(error $r)", "the error of `f` is not an enum; name an enum of the errors"),
    ],
)
def test_an_error_that_nobody_could_raise(tmp_path: Path, error: str, message: str) -> None:
    types = "(typename $size u32) (typename $r (record (field $x u8)))"
    refused(tmp_path, types + module(f"(result $x (expected $size {error}))"), message)


DOCS = """
;;; Some "quoted" words, see
;;; https://example.org/a-page/that-has/a-very-long/address-with/hyphens/in-it/and-goes/beyond/a-hundred-and/twenty-columns/of-text.
;;;
;;; - one `error::io`
;;;   goes on
;;; - two
;;;
;;; ```
;;; if x {
;;;     y;
;;; }
;;; ```
;;; It ends with a backslash \\
"""
EXPECTED = """Some "quoted" words, see
https://example.org/a-page/that-has/a-very-long/address-with/hyphens/in-it/and-goes/beyond/a-hundred-and/twenty-columns/of-text.

- one `Error.IO` goes on
- two

```
if x {
    y;
}
```

It ends with a backslash \\

witx `thing`: size 4, align 4.
"""


def test_docs_keep_their_paragraphs_lists_code_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "docs.witx").write_text(f"{ERROR}{DOCS}(typename $thing u32) {module('')}")
    text = render(load([tmp_path / "docs.witx"]), "docs")["types.py"]
    assert f'\nThing: TypeAlias = int\nr"""{EXPECTED}"""\n' in text


def refused(folder: Path, text: str, message: str) -> None:
    """The spec is refused with this message and its line."""
    (folder / "bad.witx").write_text(text)
    with pytest.raises(WitxError) as caught:
        render(load([folder / "bad.witx"]), "bad")
    assert message in caught.value.message
    assert caught.value.source_line == text


def test_in_docs_a_parameter_comes_before_a_type_of_its_name(tmp_path: Path) -> None:
    file = tmp_path / "named.witx"
    file.write_text(
        '(typename $fd (handle)) (module $m ;;; Uses `fd`.\n (@interface func (export "go") ;;; As `fd`, or `other`.\n'
        "  (param $fd $fd) ;;; Of type `fd`.\n (param $other $fd)))"
    )
    handlers = render(load([file]), "named")["handlers.py"]
    text = handlers[handlers.index("def go(") :]
    assert "or `other`" in text
    assert "`Fd`" not in text


def test_parameters_without_docs_are_not_listed(tmp_path: Path) -> None:
    file = tmp_path / "bare.witx"
    file.write_text(
        '(module $m (@interface func (export "f") (param $silent u32) ;;; Said.\n (param $named u32))\n'
        ' (@interface func (export "g") (param $silent u32)))'
    )
    handlers = render(load([file]), "bare")["handlers.py"]
    assert '"""witx `f`: (i32, i32) -> ().\n\n        Args:\n            named: Said.\n        """' in handlers
    assert '"""witx `g`: (i32) -> ()."""' in handlers
