"""Imports between our modules: circles, and those that climb the floors."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sources import Source

# From the ground up, as CONTRIBUTING draws them. A module may import from its own entry and from lower floors; entries
# of one floor know nothing of each other. The longest name that fits is a module's entry; `kasmina` is the front door.
FLOORS: list[tuple[str, ...]] = [
    ("kasmina.errors", "kasmina.files", "kasmina.records"),
    ("kasmina.hookspecs", "kasmina.hosts", "kasmina.protocols", "kasmina.tasks"),
    ("kasmina.growth",),
    ("kasmina.plugins",),
    ("kasmina.run",),
    ("kasmina.runs",),
    ("kasmina.testing",),
    ("kasmina.cli",),
    ("kasmina", "kasmina.__main__"),
    ("kasmina_blueprints", "kasmina_controllers", "kasmina_loggers"),
]
FLOOR = {entry: floor for floor, entries in enumerate(FLOORS) for entry in entries}


@dataclass(frozen=True)
class Import:
    """One import of a module of ours by another."""

    importer: str
    imported: str
    where: str
    at_start: bool
    """Whether it is carried out as soon as the importer is imported, and by the interpreter."""


def imports(sources: Iterable[Source]) -> list[Import]:
    """Return all imports between `sources`, those for type checkers and within functions too."""
    sources = list(sources)
    modules = {source.module for source in sources}
    return [found for source in sources for found in _imports(source, modules)]


def _imports(source: Source, modules: set[str]) -> Iterator[Import]:
    later = set(_later(source.tree))
    for node in (each for each in ast.walk(source.tree) if isinstance(each, ast.Import | ast.ImportFrom)):
        for name in _names(source, node):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            if name and name != source.module:
                yield Import(source.module, name, f"{source.path}:{node.lineno}", node not in later)


def _names(source: Source, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    else:
        package = source.module.split(".") if source.is_package else source.module.split(".")[:-1]
        base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
        yield from (f"{base}{node.module or ''}.{alias.name}".replace("..", ".") for alias in node.names)


def _later(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from ast.walk(node)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (inner for child in node.body for inner in ast.walk(child))


def circles(found: Iterable[Import]) -> list[str]:
    """Return each set of modules that import one another at their start, as one line."""
    graph: dict[str, set[str]] = {}
    for each in found:
        if each.at_start:
            graph.setdefault(each.importer, set()).add(each.imported)
    reached = {module: _reach(graph, module) for module in graph}
    rings = {frozenset(m for m in reached[module] if module in reached.get(m, ())) for module in graph}
    return sorted(" <-> ".join(sorted(ring)) for ring in rings if ring)


def _reach(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += graph.get(module, ())
    return seen


def climbs(found: Iterable[Import]) -> list[str]:
    """Return the imports of a higher floor, or of a neighbour on the same one."""
    return sorted(f"{each.where} imports {each.imported}" for each in found if _climbs(each))


def _climbs(each: Import) -> bool:
    importer, imported = _entry(each.importer), _entry(each.imported)
    return importer != imported and FLOOR[imported] >= FLOOR[importer]


def _entry(module: str) -> str:
    return max((entry for entry in FLOOR if f"{module}.".startswith(f"{entry}.")), key=len)
