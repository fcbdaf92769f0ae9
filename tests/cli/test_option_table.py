"""Every option of the table is in the help and in docs/command.md, and both parsers read it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.test_plain import GUEST, by_click
from wasihost.cli import click_app
from wasihost.cli.hints import _EXAMPLES
from wasihost.cli.options import OPTIONS, RunArguments, parse_plain
from wasihost.config.limits import Limits

HERE = str(Path(__file__).parent)
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command.md").read_text()
VALUES = {
    "HOST[::GUEST]": f"{HERE}::/x", "NAME[=VALUE]": "A=1", "HOST:PORT": "127.0.0.1:80", "NAME=FILE": "lib=lib.wasm",
    "NAME": "some", "SECONDS": "2.5s", "SIZE": "64KiB", "N": "7", "FUNC": "some", "LIST": "-simd",
    "MODULE:CLASS": "a.b:C", "MODULE:FUNCTION": "a:b", "FILTER": "path_*", "FILE": "calls.txt", "text|json": "json",
    "FOLDER": "kept",
    "PACKAGE=MODULE:NAME": "p=a.b:C",
}  # fmt: skip


@pytest.fixture(scope="module")
def help_text() -> str:
    return CliRunner().invoke(click_app.main, ["run", "--help"], terminal_width=200).output


@pytest.mark.parametrize("name", OPTIONS)
def test_option_is_read_by_both_parsers(name: str) -> None:
    option = OPTIONS[name]
    value = [VALUES[option.metavar]] if option.read else []
    module = HERE if name == "--precompiled" else GUEST
    arguments = ["run", *([f"{name}={value[0]}"] if option.may_be_bare else [name, *value]), module, "a"]
    read = parse_plain(arguments)
    assert read is not None
    assert read == by_click(arguments)
    changed = {field for field in read._fields if getattr(read, field) != RunArguments._field_defaults[field]}
    assert changed == {option.field, "module", "args"}


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.repeated])
def test_repeated_option_keeps_all_values(name: str) -> None:
    value = VALUES[OPTIONS[name].metavar]
    arguments = ["run", name, value, f"{name}={value}", GUEST]
    read = parse_plain(arguments)
    assert read is not None
    assert read == by_click(arguments)
    assert len(getattr(read, OPTIONS[name].field)) == 2


def test_an_optional_value_follows_an_equals_sign_only() -> None:
    for before in ([], ["--stats"], ["--dir", HERE]):
        arguments = ["run", *before, "--trace", GUEST, "--trace"]
        read = parse_plain(arguments)
        assert read is not None
        assert (read.trace, read.module, read.args) == ("", GUEST, ("--trace",))
        assert read == by_click(arguments) == by_click(arguments[1:])


@pytest.mark.parametrize("name", OPTIONS)
def test_option_is_in_the_help(name: str, help_text: str) -> None:
    option = OPTIONS[name]
    metavar = f"[={option.metavar}]" if option.may_be_bare else option.metavar
    start = re.escape(f"{name} {metavar}".rstrip())
    assert re.search(rf"^  {start}(  |$)", help_text, re.MULTILINE)
    assert option.help[:1].isupper()
    assert option.help.endswith(".")


@pytest.mark.parametrize("name", OPTIONS)
def test_option_is_in_the_documentation(name: str) -> None:
    (table,) = re.findall(r"^\| option \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert re.search(rf"`{name}[ `]", table)


def test_documentation_names_no_other_option() -> None:
    (table,) = re.findall(r"^\| option \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", table)) == set(OPTIONS)


def test_every_field_has_its_option() -> None:
    assert sorted(option.field for option in OPTIONS.values()) == sorted({*RunArguments._fields} - {"module", "args"})


def test_limits_of_options_are_limits_of_the_config() -> None:
    limits = [option.limit for option in OPTIONS.values() if option.limit]
    assert sorted(limits) == sorted({*Limits._fields} - {"output", "path", "sleep", "subscriptions"})


def test_values_that_can_be_wrong_have_an_example_in_messages() -> None:
    assert {option.metavar for option in OPTIONS.values() if option.read} - {*_EXAMPLES} == {
        "NAME",
        "FUNC",
        "FILTER",
        "FILE",
        "FOLDER",
    }
