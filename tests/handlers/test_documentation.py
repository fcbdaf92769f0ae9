"""`help()` on a handler shows what the spec says of the function: no override has a docstring that hides it."""

from __future__ import annotations

import inspect

import pytest
from wasi_preview1.handlers import Handlers

from wasihost.host.functions import Host


@pytest.mark.parametrize("name", sorted(Handlers.__abstractmethods__))
def test_help_of_a_handler_is_the_text_of_the_spec(name: str) -> None:
    assert getattr(Host, name) is not getattr(Handlers, name)
    text = inspect.getdoc(getattr(Host, name))
    assert text == inspect.getdoc(getattr(Handlers, name))
    assert f"witx `{name}`: " in (text or "")
