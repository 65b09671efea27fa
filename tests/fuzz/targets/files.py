"""A user's own data, in CSV, Parquet and NPZ: a first byte for the format and the options, then the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

FORMATS = [".csv", ".parquet", ".npz"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"goal": "classification"},
    {"goal": "regression"},
    {"separator": ";"},
    {"drop": "a"},
    {"separator": '"'},
    {"separator": "\n"},
    {"separator": "é"},
    {"separator": "\0"},
]


def prepare() -> None:
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    import kasmina.run.data
    import kasmina.tasks.file  # noqa: F401


def _head(format: int, option: int) -> bytes:
    return bytes([format + len(FORMATS) * option])


def _csv() -> bytes:
    rows = "\n".join(f"{i % 7},{i * 0.5},{'ab'[i % 2]}" for i in range(30))
    return f"a,b,target\n{rows}\n".encode()


def _parquet(columns: dict[str, Any], **options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def _npz(pickles: bool = False, **arrays: Any) -> bytes:
    import numpy as np

    sink = io.BytesIO()
    np.savez(sink, allow_pickle=pickles, **arrays)
    return sink.getvalue()


def _columns() -> dict[str, Any]:
    """Columns of every type of Arrow's that Parquet can hold."""
    import datetime as dt
    import decimal

    import pyarrow as pa

    count = 30
    number = list(range(count))
    return {
        "a": pa.array(number, pa.int8()),
        "u": pa.array(number, pa.uint64()),
        "big": pa.array([2**63 + i for i in number], pa.uint64()),
        "half": pa.array(number, pa.int16()).cast(pa.float16()),
        "f": pa.array([float(i) for i in number]),
        "nan": pa.array([float("nan")] * count),
        "inf": pa.array([float("inf")] * count),
        "null": pa.nulls(count),
        "b": pa.array([i % 2 == 0 for i in number]),
        "text": pa.array([f"t{i % 3}" for i in number]),
        "bytes": pa.array([b"\xff\x00"] * count),
        "fixed": pa.array([b"abcd"] * count, pa.binary(4)),
        "date": pa.array([dt.date(2020, 1, 1 + i % 28) for i in number]),
        "old": pa.array([-(10**17) - i for i in number], pa.timestamp("us")),
        "zone": pa.array(number, pa.timestamp("ns", "Nowhere/None")),
        "nano": pa.array([i * 1000 + 7 for i in number], pa.timestamp("ns")),
        "time": pa.array(number, pa.time64("ns")),
        "span": pa.array(number, pa.duration("s")),
        "list": pa.array([[i] for i in number]),
        "deep": pa.array([[[{"x": [i]}]] for i in number]),
        "struct": pa.array([{"x": i, "y": None} for i in number]),
        "map": pa.array([[("k", i)] for i in number], pa.map_(pa.string(), pa.int64())),
        "dict": pa.array([f"t{i % 3}" for i in number]).dictionary_encode(),
        "money": pa.array([decimal.Decimal(i) for i in number], pa.decimal128(38, 10)),
        "gold": pa.array([decimal.Decimal(i) for i in number], pa.decimal256(76, 0)),
        "gaps": pa.array([None if i % 3 else i for i in number], pa.int64()),
        "view": pa.array([f"t{i % 3}" for i in number], pa.large_string()),
    }


def corpus() -> list[bytes]:
    import numpy as np
    import pyarrow as pa

    x, y = np.arange(60, dtype=np.float32).reshape(30, 2), np.arange(30) % 2
    good = pa.array(np.arange(30.0))
    tables = [{"a": good, "target": pa.array(y)}]
    for name, column in _columns().items():
        tables += [{name: column, "target": pa.array(y)}, {"a": good, "target": column}]
    arrays: list[dict[str, Any]] = [{"x": x, "y": y}, {"x": x.reshape(30, 1, 2), "y": x}, {"x": x}]
    for other in (
        np.array([{}] * 30, object),
        np.array(["a", "b"] * 15),
        np.array([b"a", b"\xff"] * 15),
        np.array([1j] * 30),
        np.array(["2020-01-01"] * 30, "M8[D]"),
        np.zeros(30, [("p", "f4"), ("q", "S3")]),
        np.zeros((30, 0)),
        np.zeros((0, 3)),
        np.zeros((30, 2), np.float16),
        np.full((30, 2), np.nan),
        np.full(30, 2**64 - 1, np.uint64),
        np.arange(30, dtype=np.longdouble),
        np.arange(30, dtype=">i4"),
        np.array(5),
    ):
        arrays += [{"x": x, "y": other}, {"x": other, "y": y}]
    lines = [
        b"a,target\n",
        b"\n\n",
        b'a,"target\n1,2',
        b"\xef\xbb\xbfa,target\n1,x\n2,y\n",
        b"a,a\n1,2\n",
        b"1,2\n3,4\n",
    ]
    csvs = [_csv(), *lines, _csv().replace(b",", b";"), _csv().replace(b"\n", b"\r"), _csv().decode().encode("utf-16")]
    return [
        *(_head(0, option) + csv for csv in csvs for option in range(len(OPTIONS))),
        *(_head(1, option) + _parquet(table) for table in tables for option in (0, 1, 2)),
        *(_head(2, option) + _npz(True, **named) for named in arrays for option in (0, 1, 2)),
    ]


_CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            "1",
            "-1",
            "0",
            "1.5",
            "1e400",
            "-1e400",
            "1e38",
            "inf",
            "-INF",
            "nan",
            "NA",
            "true",
            "FALSE",
            "True ",
            " 1 ",
        ]
        + [
            "9" * 25,
            "9" * 5000,
            "+1",
            "1.",
            ".5",
            "1e",
            "0x1f",
            "1_000",
            "١٢",
            "²",
            "2020-01-01",
            '"',
            '""',
            '"a',
            "'",
            "a\0b",
        ]
        + [
            "\0",
            "\ufeff",
            "é",
            "日本",
            "a" * 200000,
            "a,b",
            "1;2",
            "\r",
            "\r\n",
            '"\n"',
            "#",
            "None",
            "null",
            "-",
            "1" * 400,
        ]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=5),
)
_ENCODINGS = st.sampled_from(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252", "utf-7"])


@st.composite
def _tables(draw: st.DrawFn) -> bytes:
    """A CSV whose cells, width, encoding and line ends may each be anything."""
    names = draw(st.sampled_from([["a", "target"], ["a", "b", "target"], ["target"], ["a", "a", "target"], ["1", "2"]]))
    kinds = [draw(st.one_of(_CELLS.map(lambda cell: [cell]), st.lists(_CELLS, min_size=1, max_size=4))) for _ in names]
    count = draw(st.sampled_from([0, 1, 2, 5, 30, 60]))
    rows = [names] + [[str(kind[i % len(kind)]) for kind in kinds] for i in range(count)]
    if draw(st.booleans()):
        good = [[str(i), str(i * 0.7), str(i % 2)][: len(names)] for i in range(40)]
        rows = [names, *good]
        for _ in range(draw(st.integers(0, 3))):
            row = draw(st.integers(0, len(rows) - 1))
            rows[row] = draw(st.lists(_CELLS, max_size=4)) if draw(st.booleans()) else [draw(_CELLS), *rows[row][1:]]
    between, end = draw(st.sampled_from([",", ",", ",", ";", "\t"])), draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = end.join(between.join(row) for row in rows) + draw(st.sampled_from([end, "", '"', "\0"]))
    return _head(0, draw(st.integers(0, len(OPTIONS) - 1))) + text.encode(draw(_ENCODINGS), "replace")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A good file with bytes changed, cut, doubled or put in."""
    data = bytearray(draw(st.sampled_from(_good())))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(1, max(1, len(data) - 1)))
        match draw(st.integers(0, 4)):
            case 0:
                del data[place:]
            case 1:
                del data[place : place + draw(st.integers(1, 50))]
            case 2:
                data[place:place] = draw(st.binary(max_size=8))
            case 3:
                data[place:place] = data[place : place + draw(st.integers(1, 200))]
            case _:
                data[place : place + 1] = bytes([draw(st.integers(0, 255))])
    return bytes(data)


def _good() -> list[bytes]:
    if not _GOOD:
        _GOOD.extend(corpus())
    return _GOOD


_GOOD: list[bytes] = []
STRATEGY = st.one_of(_tables(), st.deferred(_damaged), st.binary(max_size=300))


def check(data: bytes, folder: Path) -> None:
    import torch

    from kasmina.plugins.structuring import structure
    from kasmina.run.data import prepare
    from kasmina.tasks.file import File

    head = data[0] if data else 0
    path = folder / f"data{FORMATS[head % len(FORMATS)]}"
    path.write_bytes(data[1:])
    options = OPTIONS[head // len(FORMATS) % len(OPTIONS)]
    loaded = structure({"path": str(path)} | options, File, "task").load()
    prepare(loaded, 0, torch.device("cpu"))
