"""A file of the user's own as a task: CSV, Parquet or NPZ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
from attrs import validators

from kasmina.errors import UsageError, nearest
from kasmina.records import Data
from kasmina.tasks.checks import TARGET
from kasmina.tasks.reading.arrays import read_npz
from kasmina.tasks.reading.features import check_features
from kasmina.tasks.reading.labels import targets
from kasmina.tasks.reading.samples import Samples, check_memory
from kasmina.tasks.reading.tabular import read_csv, read_parquet


@attrs.define(eq=False)
class File:
    """Your own data: a CSV or Parquet table with one column to predict, or an NPZ with arrays `x` and `y`.

    Text and boolean labels make a classification, as do whole numbers with at most 20 distinct values; any other
    numbers make a regression. All other columns are features and must be numbers or booleans (counted as 0 and 1).
    """

    path: str = attrs.field(
        default="", metadata={"help": "the file; its suffix (.csv, .parquet, .npz) gives the format"}
    )
    label: str = attrs.field(default="target", metadata={"help": "the column to predict (an NPZ has `y` instead)"})
    goal: Literal["auto", "classification", "regression"] = attrs.field(
        default="auto",
        validator=validators.in_(("auto", "classification", "regression")),
        metadata={"help": "auto (see above), classification or regression"},
    )
    target: float | None = attrs.field(
        default=None, validator=TARGET, metadata={"help": "accuracy, or R² for a regression, that counts as solved"}
    )
    drop: str = attrs.field(default="", metadata={"help": "columns to leave out, separated by commas"})
    separator: str = attrs.field(
        default=",",
        validator=[validators.min_len(1), validators.max_len(1)],
        metadata={"help": "separator between the columns of a CSV"},
    )

    def __attrs_post_init__(self) -> None:
        if self.path:  # a run's config.yaml must mean the same file wherever it is read
            self.path = str(Path(self.path).absolute())

    def load(self) -> Data:
        """Return x (N, F), or in the shape that it has in an NPZ, and y as in :class:`kasmina.Data`.

        Raises:
            UsageError: Something is wrong with the file; the sentence says what, where and what next.
        """
        path = _regular_file(self.path)
        samples = self._read(path)
        x = check_features(samples)
        y, goal, classes = targets(samples, self.goal)
        names = tuple(map(samples.features, range(x.shape[1]))) if x.ndim == 2 else ()
        return Data(x.astype(np.float32), y, goal, classes, self.target, names)

    def _read(self, path: Path) -> Samples:
        dropped = [name.strip() for name in self.drop.split(",") if name.strip()]
        readers: dict[str, Callable[[], Samples]] = {
            ".csv": lambda: read_csv(path, self.separator).samples(self.label, dropped),
            ".parquet": lambda: read_parquet(path).samples(self.label, dropped),
            ".npz": lambda: read_npz(path),
        }
        if path.suffix.lower() not in readers:
            raise UsageError(f"'{path}' ends in '{path.suffix}', which is not a known format: use {', '.join(readers)}")
        try:
            return readers[path.suffix.lower()]()
        except UsageError:
            raise
        # Parsers of three formats read arbitrary bytes here: whatever they raise, the file is at fault.
        except Exception as error:
            reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
            kind = path.suffix[1:].upper()
            raise UsageError(f"'{path}' could not be read as {kind} ({reason}): is it whole, and {kind}?") from error


def _regular_file(given: str) -> Path:
    """Return the path of a file that exists, is not empty and may be read.

    Raises:
        UsageError: There is no such file.
    """
    if not str(given):
        raise UsageError("the task 'file' was given no file: name one by --set task.path=FILE (CSV, Parquet or NPZ)")
    try:
        path = Path(given).expanduser()
        if path.is_dir():
            raise UsageError(f"'{path}' is a folder: name a file in it by --set task.path=FILE")
        if not path.exists():
            raise UsageError(f"there is no file '{path}'{_neighbours(path)}: name one by --set task.path=FILE")
        if not path.is_file():
            raise UsageError(f"'{path}' is not a regular file: copy its content into one")
        size = path.stat().st_size
        if not size:
            raise UsageError(f"'{path}' is empty: it needs a header and rows, or arrays")
        check_memory(path, size)
        path.open("rb").close()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"'{given}' cannot be read ({reason}): check its name and its permissions") from error
    return path


def _neighbours(path: Path) -> str:
    """Return a clause that names similar files of the same folder, if there are any."""
    if not path.parent.is_dir():
        return f", nor a folder '{path.parent}'"
    names = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() == path.suffix.lower()]
    return f" ({nearest(path.name, names)})" if names else ""
