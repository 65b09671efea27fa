"""Parts of messages about plugins: an error in one line, where it arose, a type in words, words in a row."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def one_line(error: BaseException) -> str:
    """Return the error's type and its text, on one line: ``ImportError: no module named 'x'``."""
    # Some errors carry more than their text (attrs' validators do): the first argument is the text.
    text = " ".join(str(error.args[0] if error.args and isinstance(error.args[0], str) else error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def sentence(error: BaseException) -> str:
    """Return the error's text on one line, or its type if it has none."""
    return one_line(error).removeprefix(f"{type(error).__name__}: ")


def row(words: Iterable[str], last: str = "and") -> str:
    """Return the words as a list in prose: ``a, b and c``."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def raised_at(traceback: TracebackType | None, file: str) -> str:
    """Return where in `file` an error arose, as ``" (line 12 of plugin.py)"``; nothing if it passed no line of it."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f" (line {line} of {os.path.basename(file)})" if line else ""


def defined_at(function: Callable[..., Any]) -> str:
    """Return where a function is written, as ``" (/home/me/plugin.py:12)"``; nothing if it is not written in Python."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def shown(value: object) -> str:
    """Return the value as Python writes it, on one line and cut short: ``[1, 2, 3…``."""
    text = " ".join(repr(value).split())
    return text if len(text) < 60 else f"{text[:57]}…"


def described(cls: Any) -> str:
    """Return a type as messages and help name it: ``int``, ``str or None``, ``'relu' or 'sine'``, ``list of int``."""
    origin, args = get_origin(cls), get_args(cls)
    if origin is Literal:
        return row((repr(arg) for arg in args), "or")
    if origin in (Union, UnionType):
        return row((described(arg) for arg in args), "or")
    if isinstance(cls, type) and issubclass(cls, Enum):
        return row((repr(member.value) for member in cls), "or")
    if origin is tuple and args and args[-1] is not Ellipsis:
        return f"({', '.join(described(arg) for arg in args)})"
    if origin is not None and args:
        items = [described(arg) for arg in args if arg is not Ellipsis]
        return f"{described(origin)} of {' to '.join(items)}"
    return "None" if cls is type(None) else str(getattr(cls, "__name__", cls))
