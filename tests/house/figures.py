"""Figures of the house: sizes, sentences and imports of what is in `src`.

`python tests/house/figures.py --at ec3d020` compares a commit with the working tree; `--offenders` names what is over a
limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from docstrings import offences
from imports import circles, climbs, imports
from sizes import classes, code_lines, functions
from sources import Source, checkout, read_sources

# Files that may have one name: an entry of the same interface in several folders.
SAME_ROLE = {
    "__init__.py": "Python's own name for a package",
    "__main__.py": "Python's own name for what `-m` runs",
    "logger.py": "the logger in each logger's folder",
}


@dataclass
class Figure:
    """One number, and what makes it as large as it is, the worst first."""

    value: float
    offenders: list[str] = field(default_factory=list)


def measure(sources: list[Source]) -> dict[str, Figure]:
    """Return every figure of `sources` by its name."""
    found = imports(sources)
    lengths = sorted(((lines, name) for source in sources for name, lines in functions(source)), reverse=True)
    kept = list(classes(sources))
    same = same_names(sources)
    hits = [hit for source in sources for hit in offences(source)]
    return {
        "files": Figure(len(sources)),
        "lines": Figure(sum(source.lines for source in sources)),
        "lines of code alone": Figure(sum(map(code_lines, sources))),
        "lines of a file, median": Figure(statistics.median(source.lines for source in sources)),
        "lines of a file, most": most([(source.lines, source.path) for source in sources], 250),
        "functions": Figure(len(lengths)),
        "lines of a function, 90th percentile": Figure(lengths[len(lengths) // 10][0]),
        "lines of a function, most": most(lengths, 40),
        "arguments of a constructor, most": most([(len(one.arguments), f"{one.where} {one.name}") for one in kept], 8),
        "attributes of an object, most": most([(len(one.attributes), f"{one.where} {one.name}") for one in kept], 12),
        "docstrings against the rule": Figure(len(hits), hits),
        "pairs of files of one name": Figure(len(same), same),
        "circles of imports": Figure(len(circles(found)), circles(found)),
        "imports that climb": Figure(len(climbs(found)), climbs(found)),
    }


def most(sizes: Iterable[tuple[int, str]], limit: int) -> Figure:
    """Return the largest of `sizes`, with all that are over `limit`."""
    ordered = sorted(sizes, reverse=True)
    return Figure(ordered[0][0], [f"{size} {name}" for size, name in ordered if size > limit])


def same_names(sources: Iterable[Source]) -> list[str]:
    """Return the names that several files have without playing one part, each with its files."""
    by_name = defaultdict(list)
    for source in sources:
        by_name[PurePosixPath(source.path).name].append(source.path)
    return [" = ".join(paths) for name, paths in sorted(by_name.items()) if len(paths) > 1 and name not in SAME_ROLE]


def main() -> None:
    """Print the figures of the working tree, after those of the commits that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", metavar="COMMIT", action="append", default=[], help="a commit to compare with")
    parser.add_argument("--offenders", action="store_true", help="who is over a limit")
    parser.add_argument("--json", action="store_true", help="one JSON document, offenders included")
    typed = parser.parse_args()
    columns = {commit: _at(commit) for commit in typed.at} | {"now": measure(read_sources())}
    if typed.json:
        document = {title: {name: vars(figure) for name, figure in column.items()} for title, column in columns.items()}
        print(json.dumps(document, indent=1))
    else:
        _show(columns, typed.offenders)


def _at(commit: str) -> dict[str, Figure]:
    with checkout(commit) as root:
        return measure(read_sources(root))


def _show(columns: dict[str, dict[str, Figure]], offenders: bool) -> None:
    print(" " * 38 + "".join(f"{title[:10]:>12}" for title in columns))
    for name in columns["now"]:
        print(f"{name:38}" + "".join(f"{column[name].value:12g}" for column in columns.values()))
        for line in columns["now"][name].offenders if offenders else ():
            print(f"    {line}")


if __name__ == "__main__":
    main()
