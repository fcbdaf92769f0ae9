"""args_* and environ_*."""

import pytest

from tests.support.raw import Raw, number
from wasihost import GuestFault, ModuleConfig


@pytest.mark.parametrize("group", ["args", "environ"])
def test_args_and_environ_are_empty_by_default(group: str) -> None:
    with Raw() as raw:
        raw.expect(f"{group}_sizes_get", 0x100, 0x104, writes={0x100: bytes(8)})
        raw.expect(f"{group}_get", 0x100, 0x200)


def test_the_name_is_argv_0_without_arguments() -> None:
    with Raw(ModuleConfig().with_name("né")) as raw:
        raw.expect("args_sizes_get", 0x100, 0x104, writes={0x100: number(1) + number(4)})
        raw.expect("args_get", 0x100, 0x200, writes={0x100: number(0x200), 0x200: b"n\xc3\xa9\0"})


def test_arguments_win_over_the_name() -> None:
    with Raw(ModuleConfig().with_name("name").with_args("prog")) as raw:
        raw.expect("args_get", 0x100, 0x200, writes={0x100: number(0x200), 0x200: b"prog\0"})


def test_bytes_pass_as_they_are() -> None:
    config = ModuleConfig().with_args("", b"\xff\xfe").with_env("K", b"\x80").with_env("K", "").with_env_raw("odd")
    with Raw(config) as raw:
        raw.expect("args_get", 0x100, 0x200, writes={0x100: number(0x200) + number(0x201), 0x200: b"\0\xff\xfe\0"})
        raw.expect("environ_get", 0x100, 0x200, writes={
            0x100: number(0x200) + number(0x204) + number(0x207), 0x200: b"K=\x80\0K=\0odd\0",
        })  # fmt: skip


def test_a_bad_table_leaves_the_text_unwritten() -> None:
    with Raw(ModuleConfig().with_args("prog")) as raw:
        before = bytes(raw.memory)
        for table in (0x102, len(before) - 2):
            with pytest.raises(GuestFault, match="args_get: argv: "):
                raw.call("args_get", table, 0x200)
        assert raw.memory == before


def test_many_entries_are_each_where_the_table_says() -> None:
    config = ModuleConfig().with_args(*(f"arg{number}" for number in range(5000)))
    with Raw(config) as raw:
        table, text = 0x100, 0x8000
        assert raw.call("args_get", table, text) == 0
        at = text
        for i in range(5000):
            assert raw.get(table + 4 * i) == at
            end = bytes(raw.memory).index(0, at) if i % 500 == 0 else at + len(f"arg{i}")
            assert raw.memory[at : end + 1] == b"arg%d\0" % i
            at = end + 1
