"""The figures can be wrong in no direction that the limits rely on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from docstrings import offences
from figures import measure, same_names
from imports import circles, climbs, imports
from sizes import classes, code_lines, functions
from sources import Source, checkout, read_sources

Write = Callable[[dict[str, str]], list[Source]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write source files of core, given by module and text, and read them back."""

    def written(texts: dict[str, str]) -> list[Source]:
        for name, text in texts.items():
            path = tmp_path / "kasmina-core/src/kasmina" / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_sources(tmp_path)

    return written


def test_circles_are_found_through_any_number_of_modules(write: Write) -> None:
    texts = {
        "run.a": "from kasmina.run import b",
        "run.b": "from kasmina.run.c import x",
        "run.c": "import kasmina.run.a",
    }
    found = write(texts)
    assert circles(imports(found)) == ["kasmina.run.a <-> kasmina.run.b <-> kasmina.run.c"]


@pytest.mark.parametrize("late", ["def f():\n    {}", "if TYPE_CHECKING:\n    {}"])
def test_what_is_imported_later_closes_no_circle_but_climbs(write: Write, late: str) -> None:
    found = imports(write({"growth.a": late.format("from .. import run"), "run": "from kasmina.growth import a"}))
    assert circles(found) == []
    assert climbs(found) == ["kasmina-core/src/kasmina/growth/a.py:2 imports kasmina.run"]


def test_neighbours_on_a_floor_know_nothing_of_each_other(write: Write) -> None:
    found = imports(
        write({"tasks.a": "from kasmina.hosts import b", "hosts.b": "import kasmina.hosts.c", "hosts.c": ""})
    )
    assert climbs(found) == ["kasmina-core/src/kasmina/tasks/a.py:1 imports kasmina.hosts.b"]


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ('"""Of the steps of this epoch."""', 1),
        ('def f():\n    """What was read."""', 1),
        ('class A:\n    x: int = 1\n    """Lest it be lost."""', 1),
        ('"""Offer what it has."""\nx = 1\nf()\n"""Of no thing."""', 0),
    ],
)
def test_docstrings_of_every_kind_are_read(write: Write, text: str, hits: int) -> None:
    assert len([hit for source in write({"a": text}) for hit in offences(source)]) == hits


def test_a_function_is_as_long_as_its_code(write: Write) -> None:
    text = 'def f():\n    """One.\n\n    Two.\n    """\n    x = 1\n    return x\n'
    assert [lines for _, lines in functions(*write({"a": text}))] == [3]


def test_code_is_neither_comment_nor_docstring_nor_empty(write: Write) -> None:
    text = '"""One.\n\nTwo.\n"""\n\n# three\nx = """a\nb"""  # four\n'
    text += '\n\ndef f():\n    """Five."""\n    return (\n        x,\n    )\n'
    assert [code_lines(source) for source in write({"a": text})] == [6]


def test_a_class_has_its_own_fields_and_those_of_its_bases(write: Write) -> None:
    method = "    def f(self):\n        self.z, self.y = 1, 2\n"
    texts = {
        "a": f"@define\nclass A:\n    x: int\n    y: int = field(init=False)\n{method}",
        "b": "class B(A):\n    def __init__(self, v, *w):\n        self.v: int = v\n",
        "c": "@frozen\nclass C:\n    x: int\n",
        "d": "class D(Exception):\n    def __init__(self, x):\n        self.x = x\n",
    }
    found = write(texts)
    assert {(one.name, len(one.arguments), len(one.attributes)) for one in classes(found)} == {("A", 1, 3), ("B", 3, 4)}


def test_files_of_one_name_are_found_unless_their_part_is_the_same(write: Write) -> None:
    found = write(dict.fromkeys(("run.a", "run.__init__", "cli.a", "cli.__init__"), ""))
    assert same_names(found) == ["kasmina-core/src/kasmina/cli/a.py = kasmina-core/src/kasmina/run/a.py"]


def test_a_commit_is_measured_like_the_working_tree() -> None:
    with checkout("HEAD") as root:
        assert measure(read_sources(root)).keys() == measure(read_sources()).keys()
