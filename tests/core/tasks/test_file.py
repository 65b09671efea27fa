"""The user's own file: what is read from it, and one clear sentence for all that can be wrong with it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet
from sklearn.datasets import load_diabetes, load_wine

from kasmina.errors import UsageError
from kasmina.tasks.file import File

GOOD = "a,b,target\n" + "".join(f"{i},{i / 2},{'yes' if i % 3 else 'no'}\n" for i in range(12))


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write text, bytes, a table or arrays into a file of this name; returns its path."""

    def _write(name: str, content: Any) -> Any:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(content.encode())
        elif isinstance(content, pa.Table):
            parquet.write_table(content, path)
        else:
            np.savez(path, **content)
        return str(path)

    return _write


def refusal(path: str | Path, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        File(path=str(path), **options).load()
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


# -- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_wine_is_a_classification(write: Any, tmp_path: Path, form: Any) -> None:
    frame = load_wine()
    columns = dict(zip([*frame.feature_names, "target"], [*frame.data.T, frame.target], strict=True))
    table = pa.table(columns)
    if form == "csv":
        csv.write_csv(table, tmp_path / "wine.csv")
        path = str(tmp_path / "wine.csv")
    else:
        path = write("wine.parquet", table)
    data = File(path=path).load()
    assert (data.goal, data.classes, data.in_shape) == ("classification", ("0", "1", "2"), (13,))
    assert data.x.dtype == np.float32
    assert np.array_equal(data.x, frame.data.astype(np.float32))
    assert np.array_equal(data.y, frame.target)


def test_diabetes_is_a_regression(tmp_path: Path) -> None:
    x, y = load_diabetes(return_X_y=True)
    rows = [",".join(map(repr, map(float, row))) for row in np.column_stack([x, y])]
    path = tmp_path / "diabetes.csv"
    path.write_text("\n".join([",".join([*(f"f{i}" for i in range(10)), "progress"]), *rows]))
    data = File(path=str(path), label="progress", target=0.4).load()
    assert (data.goal, data.classes, data.outputs, data.target) == ("regression", (), 1, 0.4)
    assert data.y.dtype == np.float32
    assert np.array_equal(data.x, x.astype(np.float32))
    assert np.array_equal(data.y[:, 0], y.astype(np.float32))


@pytest.mark.parametrize(
    ("labels", "goal", "classes"),
    [
        (["b", "a"], "classification", ("a", "b")),
        (["true", "false"], "classification", ("false", "true")),
        (["True", "FALSE"], "classification", ("false", "true")),
        (["0.0", "1.0", "2.0"], "classification", ("0", "1", "2")),
        (["10", "9", "-1"], "classification", ("-1", "9", "10")),
        (["0.5", "1"], "regression", ()),
        ([str(i) for i in range(20)], "classification", tuple(map(str, range(20)))),
        ([str(i) for i in range(21)], "regression", ()),
        (["9007199254740993", "9007199254740992"], "classification", ("9007199254740992", "9007199254740993")),
        (["+1", "-1"], "classification", ("-1", "1")),
    ],
)
def test_the_goal_is_found_from_the_labels(write: Any, labels: Any, goal: Any, classes: Any) -> None:
    rows = [f"{i},{label}" for i, label in enumerate(labels * 3)]
    data = File(path=write("d.csv", "\n".join(["a,target", *rows]))).load()
    assert (data.goal, data.classes) == (goal, classes)
    if goal == "classification":
        assert [data.classes[i] for i in data.y] == [classes[i] for i in np.tile(data.y[: len(labels)], 3)]


def test_the_goal_may_be_set(write: Any) -> None:
    path = write("d.csv", "a,target\n1,0\n2,1\n3,0\n4,1\n")
    assert File(path=path, goal="regression").load().y.tolist() == [[0], [1], [0], [1]]
    path = write("e.csv", "a,target\n1,.5\n2,1.5\n3,.5\n4,1.5\n")
    assert File(path=path, goal="classification").load().classes == ("0.5", "1.5")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa,b,target\r\n1,true,x\r\n2,false,y\r\n3,TRUE,x\r\n4,False,y\r\n",
        "\n\na, b ,target\n 1 ,true,x\n\n2,false, y\n3,true ,x \n4,false,y".replace(" b ", "b"),
        '"a","b","target"\n"1",true,"x"\n2.,false,y\n+3,true,x\n4e0,false,y\n',
    ],
    ids=["bom and crlf", "blank lines and spaces", "quotes and spellings"],
)
def test_csv_in_its_many_forms(write: Any, text: Any) -> None:
    data = File(path=write("d.csv", text)).load()
    assert data.x.tolist() == [[1, 1], [2, 0], [3, 1], [4, 0]]
    assert data.classes == ("x", "y")


def test_a_byte_order_mark_is_no_part_of_the_first_name(write: Any) -> None:
    assert File(path=write("d.csv", "\ufefftarget,a\nx,1\ny,2\nx,3\ny,4\n")).load().classes == ("x", "y")


def test_csv_types_are_found_from_all_rows(write: Any) -> None:
    rows = [f"{i},{i % 2}" for i in range(200_000)]
    rows[150_000] = "0.5,1"
    assert File(path=write("long.csv", "\n".join(["a,target", *rows]))).load().x[150_000] == 0.5


def test_another_separator_and_columns_left_out(write: Any) -> None:
    path = write("d.csv", "name;a;target\nx;1;0\ny;2;1\nz;3;0\nw;4;1\n")
    assert File(path=path, separator=";", drop="name").load().x.tolist() == [[1], [2], [3], [4]]


def test_parquet_types(write: Any) -> None:
    table = pa.table(
        {
            "i": pa.array([1, 2, 3, 4], pa.int8()),
            "b": [True, False, True, False],
            "d": pa.array([1, 2, 3, 4], pa.decimal128(5, 2)),
            "s": ["1", "2.5", "3", "4"],
            "__index_level_0__": [9, 8, 7, 6],
            "target": pa.array(["u", "v", "u", "v"]).dictionary_encode(),
        }
    )
    data = File(path=write("d.PARQUET", table)).load()
    assert data.x.tolist() == [[1, 1, 1, 1], [2, 0, 2, 2.5], [3, 1, 3, 3], [4, 0, 4, 4]]
    assert data.classes == ("u", "v")
    numbers = pa.table({"a": [1, 2, 3, 4], "target": pa.array([10, 9, 10, 9]).dictionary_encode()})
    assert File(path=write("n.parquet", numbers)).load().classes == ("9", "10")


@pytest.mark.parametrize("shape", [(3,), (4, 3), (1, 4, 4)])
def test_npz_keeps_the_shape_of_its_samples(write: Any, shape: Any) -> None:
    x = np.arange(8 * np.prod(shape), dtype=np.uint8).reshape(8, *shape)
    data = File(path=write("d.npz", {"x": x, "y": np.tile([True, False], 4)})).load()
    assert data.in_shape == shape
    assert data.classes == ("false", "true")
    assert np.array_equal(data.x, x.astype(np.float32))


@pytest.mark.parametrize(
    ("y", "goal", "outputs"),
    [
        (np.tile([1, 0], 4), "classification", 2),
        (np.tile([[1.0], [0.0]], (4, 1)), "classification", 2),
        (np.array(["a", "b"] * 4), "classification", 2),
        (np.array([b"a", b"b"] * 4), "classification", 2),
        (np.arange(16.0).reshape(8, 2), "regression", 2),
        (np.linspace(0, 1, 8), "regression", 1),
    ],
)
def test_npz_labels(write: Any, y: Any, goal: Any, outputs: Any) -> None:
    data = File(path=write("d.npz", {"x": np.arange(8.0)[:, None], "y": y})).load()
    assert (data.goal, data.outputs, len(data.y)) == (goal, outputs, 8)


# -- what is refused --------------------------------------------------------------------------------------------------


def test_no_path() -> None:
    assert "given no file" in refusal("")


def test_missing_file_names_its_neighbours(write: Any) -> None:
    path = write("iris.csv", GOOD)
    assert "iris.csv" in refusal(path.replace("iris", "irsi"))
    assert "nor a folder" in refusal(path + "/no/where.csv")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in refusal(str(tmp_path))


@pytest.mark.parametrize("path", ["a\0b.csv", "x" * 5000 + ".csv", "~nobody-of-this-name/x.csv"])
def test_impossible_paths(path: Path) -> None:
    refusal(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="all files are readable to root")
def test_unreadable(write: Any) -> None:
    path = write("d.csv", GOOD)
    os.chmod(path, 0)
    assert "permissions" in refusal(path)


@pytest.mark.parametrize("name", ["d.xlsx", "d", "d.csv.gz"])
def test_unknown_extension(write: Any, name: str) -> None:
    assert "use .csv, .parquet, .npz" in refusal(write(name, GOOD))


@pytest.mark.parametrize("form", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 9, b"\0" * 99, b"PK\3\4" + b"\7" * 99, b"PAR1" * 9])
def test_empty_files_and_rubbish(write: Any, form: Any, content: Any) -> None:
    assert f"d.{form}" in refusal(write(f"d.{form}", content))


@settings(max_examples=150, deadline=None)
@given(form=st.sampled_from(["csv", "parquet", "npz"]), content=st.binary(max_size=60))
def test_no_bytes_cause_anything_but_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, form: Any, content: Any
) -> None:
    path = tmp_path_factory.mktemp("rubbish") / f"d.{form}"
    path.write_bytes(content)
    refusal(str(path))


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet='ab1.,;"\n\r e-\tNa∞', max_size=40))
def test_no_text_causes_anything_but_a_usage_error(tmp_path_factory: pytest.TempPathFactory, text: Any) -> None:
    path = tmp_path_factory.mktemp("text") / "d.csv"
    path.write_bytes(f"a,target{text}".encode())
    try:
        File(path=str(path)).load()
    except UsageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\n", ["blank lines"]),
        ("a,b,target\n", ["no rows"]),
        ("a,b,Target\n1,2,3\n", ["no column 'target'", "did you mean", "'a', 'b', 'Target'", "task.label"]),
        ("a,b\n1,2\n", ["known: a, b"]),
        ("target\n1\n0\n", ["no feature column"]),
        ("a,b,target\n1,2,x\n\n3,oops,y\n", ["'b'", "'oops'", "line 4"]),
        ('a,b,target\n1,2,"x\ny"\n3,oops,y\n', ["'oops'", "line 4"]),
        ("a,b,target\n1,,x\n,NaN,y\n3,inf,y\n4,4,x\n", ["'a', 'b'", "3 rows", "line 2"]),
        ("a,b,target\n1,,x\n2,,y\n3,,y\n4,,x\n", ["missing", "'b'", "4 rows"]),
        ("a,target\n1,x\n2,\n3,y\n", ["'target'", "missing", "1 row ", "line 3"]),
        ("a,target\n1,x\n2,x\n3,x\n", ["single class 'x'"]),
        ("a,target\n1,2.5\n2,2.5\n3,2.5\n", ["constant (2.5)"]),
        ("a,target\n1,x\n2,x\n3,lonely\n", ["'lonely'", "single row"]),
        ("a,a,target\n1,2,x\n", ["more than one column called 'a'"]),
        ("a,b,target\n1,2,x\n1,2\n", ["line 3", "2 fields", "header has 3"]),
        ("a,b,target\n1,2,x\n\n1,2,x,y\n", ["line 4", "4 fields"]),
        ("5.1,3.5,0\n4.9,3.0,0\n", ["no header"]),
        ("1,1,0\n4.9,3.0,0\n", ["no header"]),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", ["no header"]),
        (",a,target\n0,1,x\n1,2,y\n", ["column 1", "no name"]),
        ("a;target\n1;x\n", ["task.separator=';'"]),
        (f"a,target\n{10**39},x\n2,y\n3,x\n4,y\n", ["'a'", "1e+37", "line 2"]),
        (f"a,target\n{10**400},x\n2,y\n3,x\n4,y\n", ["'a'", "line 2"]),
        ("a,target\n1700000000,x\n1700000001,y\n1700000002,x\n1700000003,y\n", ["'a'", "float32 cannot tell"]),
        (f"a,target\n1,{10**39}.5\n2,1.5\n3,2\n", ["1e+37"]),
        ("a,target\n1,0.1\n2,abc\n3,2\n", ["'target'", "single row"]),
        (f"a,b,target\n1,{'k' * 140_000},x\n2,,y\n3,k,x\n4,k,y\n", ["'b'", "data row 1"]),
    ],
)
def test_csv_refusals(write: Any, text: Any, words: Any) -> None:
    sentence = refusal(write("d.csv", text))
    assert [word for word in words if word not in sentence] == [], sentence


def test_text_where_a_regression_needs_numbers(write: Any) -> None:
    sentence = refusal(write("d.csv", "a,target\n1,0.1\n2,abc\n3,2\n"), goal="regression")
    assert "'abc' at line 3" in sentence


def test_latin_1_is_refused(write: Any) -> None:
    assert "UTF-8" in refusal(write("d.csv", GOOD.replace("yes", "è").encode("latin-1")))


def test_dropping(write: Any) -> None:
    path = write("d.csv", GOOD)
    assert "task.drop" in refusal(path, drop="c")
    assert "left out" in refusal(path, drop="target")
    assert "no feature column" in refusal(path, drop="a,b")


def test_parquet_refusals(write: Any) -> None:
    y = ["u", "v", "u", "v"]
    stamps = pa.array([0, 1, 2, 3], pa.timestamp("s"))
    assert "'1970-01-01 00:00:00' at row 1" in refusal(write("a.parquet", pa.table({"when": stamps, "target": y})))
    assert "row 2" in refusal(write("b.parquet", pa.table({"a": [1, None, 3, 4], "target": y})))
    assert "row 3" in refusal(write("c.parquet", pa.table({"a": [1, 2, 3, 4], "target": ["u", "v", None, "u"]})))
    assert "row 1" in refusal(write("d.parquet", pa.table({"a": [None, True, True, False], "target": y})))
    doubled = pa.Table.from_arrays([pa.array([1, 2, 3, 4])] * 2 + [pa.array(y)], ["a", "a", "target"])
    assert "more than one column" in refusal(write("e.parquet", doubled))
    assert "no rows" in refusal(write("f.parquet", pa.table({"a": [], "target": []})))


X, Y = np.arange(8.0).reshape(8, 1), np.tile([0, 1], 4)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": X, "labels": Y}, "no array 'x', 'y' (there: 'X', 'labels')"),
        ({"x": X, "z": Y}, "no array 'y'"),
        ({}, "there: none"),
        ({"x": X, "y": Y[:-1]}, "8 rows and 'y' has 7"),
        ({"x": X, "y": np.array([None] * 8)}, "pickles are refused"),
        ({"x": np.array([{}] * 8), "y": Y}, "pickles are refused"),
        ({"x": X[:, 0], "y": Y}, "shape (8,)"),
        ({"x": X[:0], "y": Y[:0]}, "no rows"),
        ({"x": X[:, :0], "y": Y}, "no features"),
        ({"x": X, "y": np.zeros((8, 0))}, "no labels"),
        ({"x": X, "y": np.zeros((8, 2, 2))}, "array 'y'"),
        ({"x": X + 1j, "y": Y}, "complex128"),
        ({"x": X.astype(str), "y": Y}, "numbers are due"),
        ({"x": X, "y": Y + 1j}, "complex128"),
        ({"x": X, "y": np.zeros((8, 2))}, "constant"),
        ({"x": np.where(X == 3, np.nan, X), "y": Y}, "'x[0]', in 1 row (first: row 4)"),
        ({"x": X, "y": np.where(Y, np.inf, 0)}, "4 rows"),
        ({"x": X, "y": np.array([b"\xff", b"a"] * 4)}, "could not be read"),
    ],
)
def test_npz_refusals(write: Any, arrays: Any, words: Any) -> None:
    assert words in refusal(write("d.npz", arrays))


def test_npz_with_several_labels_is_no_classification(write: Any) -> None:
    assert "one class a row" in refusal(write("d.npz", {"x": X, "y": np.eye(8)}), goal="classification")


def test_a_bare_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", X)
    os.rename(tmp_path / "d.npy", tmp_path / "d.npz")
    assert "bare array" in refusal(str(tmp_path / "d.npz"))
