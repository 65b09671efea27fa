"""Help texts of commands, read from their sources, so that no third-party code is imported to list it."""

from __future__ import annotations

import ast
import sys
import warnings
from importlib.abc import InspectLoader
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint


def docstring(point: EntryPoint) -> str:
    """Return the docstring of the function that an entry point names; empty if its source cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes do not matter here
            body = ast.parse(_source(point.module)).body
    except Exception:  # a third party's file may hold anything
        return ""
    named = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == point.attr]
    return (ast.get_docstring(named[-1]) or "") if named else ""


def _source(module: str) -> str:
    """Return the source of a module, found without importing its parent packages.

    Raises:
        Exception: The module is not there, or has no source.
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
    """Return a text on one line and without control characters."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)
