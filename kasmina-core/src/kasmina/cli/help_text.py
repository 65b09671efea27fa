"""What a command says of itself, read from its source: nothing of a stranger's is imported to list it."""

from __future__ import annotations

import ast
import sys
import warnings
from importlib.abc import InspectLoader
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint


def docstring(point: EntryPoint) -> str:
    """The docstring of the function that an entry point names; empty if it cannot be had so."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are wrong, which are no matter of a listing
            body = ast.parse(_source(point.module)).body
    except Exception:  # a stranger's file may hold anything
        return ""
    named = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == point.attr]
    return (ast.get_docstring(named[-1]) or "") if named else ""


def _source(module: str) -> str:
    """Of a module, which is looked for as an import would, but part by part, so that not even its parents run.

    Raises:
        Exception: it is not there, or has no source.
    """
    places: list[str] | None = [folder for folder in sys.path if folder]
    for part in module.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            break
        places = list(spec.submodule_search_locations or ())
    if spec is None or not isinstance(spec.loader, InspectLoader):
        raise ModuleNotFoundError(module)
    return spec.loader.get_source(part) or ""


def printable(text: str) -> str:
    """On one line, and without what steers a terminal: it may be a stranger's."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)
