"""Sizes of functions and classes."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from docstrings import docstrings
from sources import Source

SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Class:
    """What a class is given and what it keeps, without its bases."""

    where: str
    name: str
    bases: list[str]
    is_record: bool = False
    arguments: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)


def code_lines(source: Source) -> int:
    """Return the number of lines that hold code, and not only a comment, a docstring or nothing."""
    told = {line for text in docstrings(source.tree) for line in range(text.lineno, _end(text) + 1)}
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    lines = {line for token in tokens if token.type not in SILENT for line in range(token.start[0], token.end[0] + 1)}
    return len(lines - told)


def functions(source: Source) -> Iterator[tuple[str, int]]:
    """Yield each function's name and length in lines, from `def` to its end, without its docstring."""
    for node in ast.walk(source.tree):
        if isinstance(node, Function):
            yield f"{source.path}:{node.lineno} {node.name}", _end(node) - node.lineno + 1 - _docstring_lines(node)


def classes(sources: Iterable[Source]) -> Iterator[Class]:
    """Yield the classes that have no excuse for many fields, what they inherit from each other included."""
    every = [_class(source, node) for source in sources for node in source.tree.body if isinstance(node, ast.ClassDef)]
    for one in every:
        family = [one, *_ancestors(one, every)]
        if not any(each.is_record for each in family):
            arguments = set[str]().union(*(each.arguments for each in family))
            attributes = set[str]().union(*(each.attributes for each in family))
            yield Class(one.where, one.name, one.bases, False, arguments, attributes)


def _ancestors(one: Class, every: list[Class]) -> Iterator[Class]:
    for base in one.bases:
        if base != one.name:
            for parent in every:
                if parent.name == base:
                    yield parent
                    yield from _ancestors(parent, every)


def _class(source: Source, node: ast.ClassDef) -> Class:
    bases = [ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases]
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    made = Class(f"{source.path}:{node.lineno}", node.name, bases)
    made.is_record = "frozen" in decorators or any(base.endswith(("Exception", "Error", "Protocol")) for base in bases)
    if "define" in decorators or "dataclass" in decorators:
        _add_fields(made, node)
    for function in (child for child in node.body if isinstance(child, Function)):
        _add_function(made, function)
    return made


def _add_fields(made: Class, node: ast.ClassDef) -> None:
    for child in node.body:
        if isinstance(child, ast.AnnAssign) and "ClassVar" not in ast.unparse(child.annotation):
            made.attributes.add(ast.unparse(child.target))
            if "init=False" not in ast.unparse(child):
                made.arguments.add(ast.unparse(child.target))


def _add_function(made: Class, function: Function) -> None:
    given = function.args
    if function.name == "__init__":
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        made.arguments |= {argument.arg for argument in every[1:] if argument}
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            made.attributes.add(node.attr)


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _docstring_lines(node: Function) -> int:
    return _end(node.body[0]) - node.body[0].lineno + 1 if ast.get_docstring(node) is not None else 0
