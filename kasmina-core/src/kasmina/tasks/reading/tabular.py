"""Reads CSV and Parquet into columns of numbers, booleans or text, and picks features and label from them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from kasmina.errors import UsageError, nearest
from kasmina.tasks.reading.columns import first_text, from_arrow, from_text, is_number, to_float
from kasmina.tasks.reading.samples import Array, Samples, check_memory, clip, some

LARGEST_BLOCK = 1 << 30


@frozen(eq=False)
class Table:
    """Named columns (N,): numbers, booleans, or objects (text, None where it is missing)."""

    path: Path
    columns: dict[str, Array]
    place: Callable[[int], str]

    def samples(self, label: str, dropped: list[str]) -> Samples:
        """Split the table into the column to predict and the others as numbers, without those dropped.

        Raises:
            UsageError: A column is missing, none is left, or a feature is text.
        """
        for name in [label, *dropped]:
            if name not in self.columns:
                self._explain_missing(name, "label" if name == label else "drop")
        if label in dropped:
            raise UsageError(f"column '{label}' cannot be both predicted and left out: change task.label or task.drop")
        if not len(self.columns[label]):
            raise UsageError(f"'{self.path}' has a header and no rows: add the data below it")
        names = [name for name in self.columns if name != label and name not in dropped]
        if not names:
            raise UsageError(f"'{self.path}' has no feature column besides '{clip(label)}': add some")
        x = np.stack([self._numbers(name) for name in names], 1)
        return Samples(
            self.path, x, self.columns[label], f"column '{clip(label)}'", lambda index: names[index], self.place
        )

    def _explain_missing(self, name: str, option: str) -> None:
        names = list(self.columns)
        if _mostly_numbers(names):
            raise UsageError(
                f"'{self.path}' has no column '{clip(name)}' and seems to have no header, for its names are numbers"
                f" ({some(names, 4)}):"
                " write the columns' names into its first line"
            )
        close = nearest(name, names)
        known = "" if close.startswith("known") else f" columns: {some(names, 12)};"
        raise UsageError(
            f"'{self.path}' has no column '{clip(name)}' ({close}):{known} name one by --set task.{option}=NAME"
        )

    def _numbers(self, name: str) -> Array:
        """Return a column in float64; raise UsageError that names the first value that is text."""
        values = self.columns[name]
        row = first_text(values)
        if row is None:
            return to_float(values)
        raise UsageError(
            f"column '{clip(name)}' of '{self.path}' holds '{clip(values[row])}' at {self.place(row)}, where a number"
            " is due: write it as a number, or leave the column out by --set task.drop=NAME"
        )


def read_parquet(path: Path) -> Table:
    """Read a whole Parquet file; an unnamed index of pandas is left out."""
    from pyarrow import parquet

    # Not read_table: it takes a folder called "a=1" on the way for one more column.
    with parquet.ParquetFile(path) as file:
        check_memory(path, 8 * file.metadata.num_rows * file.metadata.num_columns)
        table = file.read()
    _check_names(path, table.column_names)
    names = [name for name in table.column_names if not name.startswith("__index_level_")]
    return Table(path, {name: from_arrow(table[name]) for name in names}, lambda row: f"row {row + 1}")


def read_csv(path: Path, separator: str = ",") -> Table:
    """Read a whole CSV file in UTF-8, whose first line holds the names of the columns.

    Every column is read as text and its type found from all values: pyarrow's own guess looks only at the first block
    and fails on what comes later.
    """
    names = _header(path, separator)
    table = _arrow_csv(path, separator, len(names))
    columns = {name: from_text(table.column(index)) for index, name in enumerate(names)}
    return Table(path, columns, lambda row: _place(path, separator, row))


def _header(path: Path, separator: str) -> list[str]:
    try:
        _, names = next(_records(path, separator))
    except StopIteration:
        raise UsageError(f"'{path}' holds nothing but blank lines: it needs a header and rows") from None
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from error
    if len(names) == 1:
        other = next((mark for mark in ";\t|," if mark != separator and mark in names[0]), None)
        if other:
            raise UsageError(
                f"the first line of '{path}' has no '{separator}' but '{clip(other)}' between its names:"
                f" say so by --set task.separator='{other}'"
            )
    _check_names(path, names)
    return names


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse columns without names or with the same name, and files without a header."""
    if len(set(names)) == len(names) and "" not in names:
        return
    if _mostly_numbers(names):
        raise UsageError(
            f"'{path}' seems to have no header, for its first line holds numbers ({some(names, 4)}):"
            " write the columns' names above it"
        )
    if "" in names:
        raise UsageError(
            f"column {names.index('') + 1} of '{path}' has no name (an index written along?): name it in the header or"
            " remove it"
        )
    doubled = [name for name, count in Counter(names).items() if count > 1]
    raise UsageError(f"'{path}' has more than one column called {some(doubled)}: give each column a name of its own")


def _mostly_numbers(names: list[str]) -> bool:
    return 2 * sum(map(is_number, names)) > len(names)


def _arrow_csv(path: Path, separator: str, width: int) -> Any:
    """Return the rows below the header as a pyarrow table of `width` columns of text."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    keys = [str(index) for index in range(width)]
    # One block, if it fits: a row longer than a block is an error to pyarrow.
    size = min(max(path.stat().st_size + 1, 1 << 16), LARGEST_BLOCK)
    try:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=keys, block_size=size),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={key: pyarrow.string() for key in keys}, strings_can_be_null=False
            ),
        ).slice(1)
    except pyarrow.ArrowInvalid as error:
        raise _explain(path, separator, width) or error from error


def _explain(path: Path, separator: str, width: int) -> UsageError | None:
    """Find why pyarrow refused the file, by a slower reader that knows the line."""
    try:
        for line, fields in _records(path, separator):
            if len(fields) != width:
                return UsageError(
                    f"line {line} of '{path}' has {len(fields)} fields where the header has {width}"
                    f" ('{clip(separator.join(fields))}'): mend that line, and quote text that holds '{separator}'"
                )
    except UnicodeDecodeError as error:
        return _not_text(path, error)
    return None


def _not_text(path: Path, error: UnicodeDecodeError) -> UsageError:
    return UsageError(f"'{path}' is not text in UTF-8 ({error.reason}): save it as CSV in UTF-8")


def _place(path: Path, separator: str, row: int) -> str:
    """Return "line 7", or the number of the data row if the line is unknown."""
    try:
        return f"line {_line(path, separator, row)}"
    except csv.Error:  # a field before it is longer than Python's reader takes
        return f"data row {row + 1}"


def _line(path: Path, separator: str, row: int) -> int:
    """Return the line, counted from 1, at which a data row begins, counted from 0 below the header."""
    for index, (line, _) in enumerate(_records(path, separator)):
        if index == row + 1:
            return line
    raise IndexError(row)


def _records(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield every record with the line at which it begins; skip blank lines, but not those in quoted fields."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        begin = 1
        for fields in reader:
            if fields:
                yield begin, fields
            begin = reader.line_num + 1
