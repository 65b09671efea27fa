"""A run as a model of MLflow's, which needs torch and mlflow and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from shipped import Shop

from kasmina.run.restore import restore
from kasmina_loggers.registry.packaging import as_input, identity, package, samples

Packed = tuple[Path, dict[str, dict[str, Any]]]
NAMES = ["spirals", "digits", "wine", "diabetes"]
STRANGER = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("kasmina"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import mlflow.pyfunc, numpy, pandas
for name in sys.argv[2:]:
    model, file = mlflow.pyfunc.load_model(f"{sys.argv[1]}/{name}"), f"{sys.argv[1]}/{name}"
    x = pandas.read_pickle(f"{file}.x")
    model.predict(x).to_json(f"{file}.y", orient="split", double_precision=15)
    assert len(model.predict(x[:1])) == 1 and len(model.predict(model.input_example)) == 4
assert not [name for name in sys.modules if name.startswith("kasmina")]
"""


@pytest.fixture(scope="module")
def packed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """A folder with the model of each run, by its name; and what each metadata say."""
    folder = tmp_path_factory.mktemp("packed")
    return folder, {name: package(shop.run(name), folder / name) for name in NAMES}


@pytest.fixture(scope="module")
def model(packed: Packed) -> Any:
    from mlflow import pyfunc

    return pyfunc.load_model(str(packed[0] / "wine"))


def test_it_gives_without_kasmina_what_evaluate_says(shop: Shop, packed: Packed) -> None:
    folder = packed[0]
    for name in NAMES:
        trained = restore(shop.run(name))
        pd.to_pickle(as_input(trained, samples(trained, "test")), folder / f"{name}.x")
    words = [sys.executable, "-B", "-W", "ignore", "-c", STRANGER, str(folder), *NAMES]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        given = pd.DataFrame(**json.loads((folder / f"{name}.y").read_text()))
        values, predictions = shop.evaluated(name)
        if "probabilities" in given:
            np.testing.assert_allclose(given["probabilities"].tolist(), values, atol=1e-6)
            assert given["prediction"].astype(str).tolist() == predictions
        else:
            np.testing.assert_allclose(given.to_numpy(), values, rtol=1e-6)


def test_it_has_no_pickle_and_asks_for_what_it_needs(packed: Packed) -> None:
    folder = packed[0] / "digits"
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {
        "",
        ".json",
        ".yaml",
        ".txt",
        ".py",
        ".pt2",
    }
    with zipfile.ZipFile(folder / "artifacts" / "program.pt2") as program:
        contents = {name: program.read(name) for name in program.namelist()}
    assert not [name for name, content in contents.items() if content[:2] in (b"PK", b"\x80\x02", b"\x80\x04")]
    pinned = [f"{name}=={version(name).split('+')[0]}" for name in ("mlflow", "torch")]
    assert (folder / "requirements.txt").read_text().split() == pinned


def test_it_tells_what_it_takes_and_where_it_comes_from(shop: Shop, packed: Packed, model: Any) -> None:
    names = restore(shop.run("wine")).data.features
    assert [(column.name, str(column.type)) for column in model.metadata.signature.inputs] == [
        (name, "DataType.double") for name in names
    ]
    assert [column.name for column in model.metadata.signature.outputs] == ["prediction", "probabilities"]
    facts = model.metadata.metadata
    assert facts == packed[1]["wine"]
    assert facts["classes"] == ["class_0", "class_1", "class_2"]
    summary = json.loads((shop.run("wine") / "summary.json").read_text())
    assert (facts["task"], facts["metric"], float(facts["test"])) == ("file", "accuracy", summary["test"])


def test_its_identity_is_of_the_network_and_not_of_the_folder(shop: Shop, packed: Packed, tmp_path: Path) -> None:
    shutil.copytree(shop.run("spirals"), tmp_path / "elsewhere")
    facts = packed[1]["spirals"]
    assert identity(restore(tmp_path / "elsewhere"), tmp_path / "elsewhere") == facts["identity"]
    other = shop.run("equal")  # the same weights, by other options
    assert identity(restore(other), other) != facts["identity"]


GOOD = [13.0] * 13
BAD = {
    "an empty batch": ([], "the batch has 0 rows: 1 to 10000 are due"),
    "NaN": ([GOOD, [np.nan, *GOOD[1:]]], "row 1 holds nan: a finite number of float32 is due"),
    "infinity": ([[*GOOD[1:], -np.inf]], "row 0 holds -inf: a finite number of float32 is due"),
    "beyond float32": ([[*GOOD[1:], 1e39]], "row 0 holds 1e+39: a finite number of float32 is due"),
    "too many rows": ([GOOD] * 10_001, "the batch has 10001 rows: 1 to 10000 are due"),
    "overflow within": ([[3e38] * 13], "row 0 has numbers so far beyond those of the training"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_batch_is_refused(model: Any, case: str) -> None:
    from mlflow.exceptions import MlflowException

    rows, reason = BAD[case]
    table = pd.DataFrame(rows, columns=model.metadata.signature.inputs.input_names(), dtype=float)
    with pytest.raises(MlflowException, match="^" + reason.replace("+", r"\+")) as refused:
        model.predict(table)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


def test_wrong_shapes_are_refused_by_the_scorer_itself(model: Any) -> None:
    from mlflow.exceptions import MlflowException

    scorer = model.unwrap_python_model()
    for shape in [(13,), (2, 12), (2, 13, 1)]:
        with pytest.raises(MlflowException, match=r"^the batch has the shape .*: \(rows, 13\) is due") as refused:
            scorer.predict(None, np.zeros(shape))
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    with pytest.raises(MlflowException, match="something that is no number"):
        scorer.predict(None, [["a"] * 13])
