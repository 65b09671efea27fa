"""``kasmina new``: write the distribution of a new plugin."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import click

from kasmina.errors import UsageError
from kasmina.plugins.catalog import Entry, entries
from kasmina.plugins.installed import installed, normal

TEMPLATES = Path(__file__).parents[1] / "templates"
"""Folder with one template for each kind of plugin: a working distribution called `sprout`."""
SOURCES = {".py", ".toml", ".md", ".typed"}
SHARED = {"LICENSE": "LICENSE", "gitignore": ".gitignore", "ci.yml": ".github/workflows/ci.yml"}
"""Files that every kind of plugin gets from the folder `shared`, and their places in the new distribution."""


@click.command()
@click.argument("kind", type=click.Choice(["blueprint", "controller", "logger"]), metavar="KIND")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make. [default: kasmina-NAME]")
def new(kind: str, name: str, out: Path | None) -> None:
    """Write a new plugin, ready to install.

    KIND is blueprint, controller or logger. The result is a distribution with one module, its tests, a licence and a
    workflow for GitHub that runs the tests.
    """
    word = _checked(name)
    distribution = f"kasmina-{word.replace('_', '-')}"
    folder = out or Path(distribution)
    others = _namesakes(kind, word, distribution)
    write(kind, word, folder)
    for entry in others:
        click.echo(f"kasmina: warning: the {entry} has the same name; use full names to tell them apart", err=True)
    full = f"{distribution}:{word}" if others else word
    module = folder / "src" / f"kasmina_{word}" / "__init__.py"
    click.echo(f"{folder} is a complete {kind}. The next four steps:\n")
    click.echo(f"  edit {module}: the marked line")
    click.echo(f"  pip install {folder if folder.is_absolute() else f'./{folder}'}")
    click.echo(f"  kasmina check {kind} {full}")
    click.echo(f"  kasmina run --{kind} {full}")


def _namesakes(kind: str, word: str, distribution: str) -> list[Entry]:
    """Return installed plugins of other distributions with the same name.

    Raises:
        UsageError: A distribution of this name is installed, and is something else.
    """
    found = [entry for entry in entries() if (entry.kind, entry.name) == (kind, word)]
    others = [entry for entry in found if normal(entry.distribution) != distribution]
    if others == found and any(normal(one.name) == distribution for one in installed()):
        raise UsageError(
            f"the distribution {distribution} is installed already and is something else; choose another name"
        )
    return others


def write(kind: str, word: str, folder: Path) -> None:
    """Copy the template of this kind to `folder`, with `word` for its name.

    Raises:
        UsageError: `folder` exists already, or cannot be made.
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} exists already; choose another --out, or remove it")
    template = TEMPLATES / kind
    sources = {
        path.relative_to(template).as_posix(): path.read_text("utf-8")
        for path in template.rglob("*")
        if path.suffix in SOURCES
    }
    cls = _class(kind, word, list(sources.values()))
    try:
        shared = {place: (TEMPLATES / "shared" / name).read_text("utf-8") for name, place in SHARED.items()}
        for source, text in (sources | shared).items():
            target = folder / _renamed(source, word, cls)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_renamed(text, word, cls), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error


def _checked(name: str) -> str:
    """Return the name as a Python identifier.

    Raises:
        UsageError: It cannot be one.
    """
    word = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", word):
        raise UsageError(
            f"{name!r} cannot be a plugin's name: use lower-case letters, digits and dashes, such as 'sine'"
        )
    if keyword.iskeyword(word) or keyword.issoftkeyword(word):
        raise UsageError(f"{name!r} cannot be a plugin's name: it is a keyword of Python; try 'my-{name}'")
    return word


def _renamed(text: str, word: str, cls: str) -> str:
    """Return a text with the names of distribution, module, class and plugin in place of the template's."""

    def name(found: re.Match[str]) -> str:
        if found["dash"]:
            return f"kasmina{found['dash']}{word.replace('_', found['dash'])}"
        return cls if found[0] == "Sprout" else word

    return re.sub(r"kasmina(?P<dash>[-_])sprout[-_]\w+|Sprout|sprout", name, text)


def _class(kind: str, word: str, sources: list[str]) -> str:
    """Return the name of the class, with the kind appended where the template uses the same name (`site`: Site)."""
    cls = "".join(part.capitalize() for part in word.split("_"))
    taken = any(re.search(rf"\b{cls}\b", source) for source in sources)
    return cls + kind.capitalize() if taken else cls
