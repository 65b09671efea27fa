"""kasmina new: names that can be, folders that are new, and what is said; what is written is tried end to end."""

from __future__ import annotations

import ast
import keyword
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmina.cli.main import main
from kasmina.cli.new import write

Plant = Callable[..., Path]

KINDS = ["blueprint", "controller", "logger"]
ODD = ["site", "module", "tensor", "sprout", "my_sprout", "sproutling", "proposal", "path", "event", "x", "kasmina"]
WORDS = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,4}){0,2}", fullmatch=True).filter(
    lambda w: not keyword.iskeyword(w)
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def inspect(kind: str, word: str, folder: Path) -> None:
    """One name, in every place where one is due, and nothing of the template's own."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    module, cls = project["project"]["entry-points"][f"kasmina.{kind}s"][word].split(":")
    assert project["project"]["name"] == f"kasmina-{word.replace('_', '-')}" and module == f"kasmina_{word}"
    source = folder / "src" / module / "__init__.py"
    tree = ast.parse(source.read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert names.count(cls) == 1 and cls not in imported and len(set(names)) == len(names)
    assert source.read_text().count("# EDIT THIS LINE") == 1 and len(source.read_text().splitlines()) < 60
    assert (folder / "tests" / f"test_{word}.py").is_file() and (folder / "README.md").is_file()
    assert project["project"]["license"] == "Apache-2.0" and "Apache License" in (folder / "LICENSE").read_text()
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "ci.yml").read_text())
    assert [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step][-1] == "pytest"
    assert "__pycache__/" in (folder / ".gitignore").read_text().splitlines()
    texts = "".join(path.read_text() + str(path) for path in folder.rglob("*") if path.is_file())
    assert "sprout" in word or "sprout" not in texts.lower()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ODD)
def test_odd_names(kind: str, word: str, tmp_path: Path) -> None:
    write(kind, word, tmp_path / "new")
    inspect(kind, word, tmp_path / "new")


@given(st.sampled_from(KINDS), WORDS)
@settings(deadline=None, max_examples=40)
def test_any_name(tmp_path_factory: pytest.TempPathFactory, kind: str, word: str) -> None:
    folder = tmp_path_factory.mktemp("new") / "it"
    write(kind, word, folder)
    inspect(kind, word, folder)


def test_the_next_steps_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["new", "blueprint", "two-words"]) == 0
    out = capsys.readouterr().out
    inspect("blueprint", "two_words", tmp_path / "kasmina-two-words")
    for step in (
        "edit kasmina-two-words/src/kasmina_two_words/__init__.py",
        "pip install ./kasmina-two-words",
        "kasmina check blueprint two_words",
        "kasmina run --blueprint two_words",
    ):
        assert f"\n  {step}" in out


def test_a_folder_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["new", "logger", "mine", "--out", str(tmp_path / "a" / "b")]) == 0
    assert f"pip install {tmp_path / 'a' / 'b'}\n" in capsys.readouterr().out
    inspect("logger", "mine", tmp_path / "a" / "b")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("class", "it is a keyword of Python; try 'my-class'"),
        ("match", "it is a keyword of Python"),
        ("Sine", "use lower-case letters, digits and dashes"),
        ("2d", "use lower-case letters"),
        ("../up", "use lower-case letters"),
        ("a--b", "use lower-case letters"),
        ("", "use lower-case letters"),
        ("core", "the distribution kasmina-core is installed already"),
    ],
)
def test_names_that_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, sentence: str) -> None:
    assert main(["new", "blueprint", name]) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "kasmina-mine").mkdir()
    assert main(["new", "controller", "mine"]) == 2
    assert "kasmina-mine exists already; choose another --out" in capsys.readouterr().err
    assert not list((tmp_path / "kasmina-mine").iterdir())
    (tmp_path / "file").write_text("")
    assert main(["new", "controller", "mine", "--out", "file/below"]) == 2
    assert "file/below cannot be written" in capsys.readouterr().err


def test_the_name_of_an_installed_plugin_is_warned_of(capsys: pytest.CaptureFixture[str], plant: Plant) -> None:
    plant("stranger", {"kasmina.blueprints": {"it": "kasmina_test_absent:It"}})
    assert main(["new", "blueprint", "it"]) == 0
    captured = capsys.readouterr()
    assert "warning: the blueprint 'it' of stranger 1.0 has the same name" in captured.err
    assert "kasmina run --blueprint kasmina-it:it\n" in captured.out
