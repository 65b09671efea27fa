"""Source files of the four distributions, from the working tree or from a commit."""

from __future__ import annotations

import ast
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("kasmina-core", "kasmina-blueprints", "kasmina-controllers", "kasmina-loggers")


@dataclass(frozen=True)
class Source:
    """One source file, parsed."""

    path: str
    module: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Number of lines."""
        return len(self.text.splitlines())

    @property
    def is_package(self) -> bool:
        """Whether the file is the `__init__.py` of a package."""
        return self.path.endswith("/__init__.py")


def read_sources(root: Path = ROOT) -> list[Source]:
    """Return all source files below `root`; the templates of `kasmina new` are data, and no part of them."""
    paths = sorted(path for name in DISTRIBUTIONS for path in (root / name / "src").rglob("*.py"))
    return [_read(root, path) for path in paths if "templates" not in path.parts]


def _read(root: Path, path: Path) -> Source:
    text = path.read_text()
    below_src = path.relative_to(root).with_suffix("").parts[2:]
    module = ".".join(below_src).removesuffix(".__init__")
    return Source(path.relative_to(root).as_posix(), module, text, ast.parse(text))


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Unpack the distributions as they were at `commit` into a folder that is gone afterwards."""
    command = ["git", "-C", str(ROOT), "archive", commit, *DISTRIBUTIONS]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        tarfile.open(fileobj=io.BytesIO(archive)).extractall(folder, filter="data")
        yield Path(folder)
