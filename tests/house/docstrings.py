"""Docstrings that no reader of English expects: their first words, and a few others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from sources import Source

FIRST = "Of By As What Who Whose Where When How That If For With Beside".split()
ANYWHERE = re.compile(r"\b(lest|shall|befalls?|befell|beside|one who)\b", re.IGNORECASE)


def offences(source: Source) -> Iterator[str]:
    """Yield where a docstring begins with a word of `FIRST`, or holds one of `ANYWHERE`."""
    for node in docstrings(source.tree):
        text = _text(node) or ""
        first, *_ = [*re.findall(r"\w+", text), ""]
        found = ANYWHERE.search(text)
        if first in FIRST or found:
            yield f"{source.path}:{node.lineno} {found[0] if found else first}: {text.strip().splitlines()[0]}"


def docstrings(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield every docstring: of modules, classes and functions, and of the attributes above them."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for before, child in zip([None, *body], body, strict=False):
                if _text(child) is not None and (before is None or isinstance(before, ast.Assign | ast.AnnAssign)):
                    yield child


def _text(node: ast.stmt) -> str | None:
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
