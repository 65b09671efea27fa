"""What a stranger's outbox may ask for, and does not get; what MLflow takes, and what we make of the rest."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmina.cli.main import main
from kasmina_loggers.mlflow import tracking_store, value_limits
from kasmina_loggers.mlflow.delivery_state import DeliveryState

BEGIN = {
    "kind": "begin",
    "time": 1,
    "id": "0",
    "name": "one",
    "experiment": "kasmina",
    "parameters": {"a": ""},
    "tags": {},
    "dataset": {"name": "d", "digest": "1", "source_type": "code", "source": "{}"},
    "folder": "/nowhere",
}
END = {"kind": "end", "time": 2, "status": "failed", "step": 1, "metrics": {}, "tags": {}}


def outbox(run: Path, *records: str | dict[str, Any]) -> None:
    (run / "mlflow").mkdir(parents=True)
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (run / "mlflow" / "outbox.jsonl").write_text("".join(f"{line}\n" for line in lines))


def test_files_of_elsewhere_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "one"
    secret = tmp_path / "secret"
    secret.write_text("mine")
    names = ["../../secret", str(secret), "link", "folder/secret", "kept.txt"]
    outbox(run, BEGIN, "no record", '{"kind": 1}', "[]", *({"kind": "artifact", "path": name} for name in names), END)
    (run / "link").symlink_to(secret)
    (run / "folder").symlink_to(tmp_path)
    (run / "kept.txt").write_text("theirs")
    assert main(["sync", "runs/one"]) == 0, capsys.readouterr().err
    client = tracking_store.client(tracking_store.where("", tmp_path / "runs"))
    found = json.loads((run / "mlflow" / "sent.json").read_text())["run_id"]
    assert [item.path for item in client.list_artifacts(found)] == ["kept.txt"]
    assert client.get_run(found).info.status == "FAILED"
    kept = [path for path in (tmp_path / "runs" / "mlflow-artifacts").rglob("*") if path.is_file()]
    assert [path.read_text() for path in kept] == ["theirs"]


@pytest.mark.parametrize(
    "records",
    [[END], [{**BEGIN, "parameters": 3}], [BEGIN, {"kind": "epoch", "time": 1, "step": "x", "metrics": {"a": 1}}]],
)
def test_what_no_logger_wrote_is_one_sentence(
    records: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outbox(tmp_path / "runs" / "one", *records)
    assert main(["sync"]) == 1
    told = capsys.readouterr().err
    [sentence] = [line for line in told.splitlines() if line.startswith("kasmina: ")]
    assert "does not take runs/one" in sentence and "Traceback" not in told


def test_a_server_that_a_file_names_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "one"
    outbox(run, BEGIN, END)
    DeliveryState(tracking_uri="http://127.0.0.1:9").save(run / "mlflow")
    assert main(["sync", "runs/one"]) == 2
    assert "goes on there, and" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", '{"position": -1}', '{"run_id": "../x"}', '{"lacks": 3}', "[" * 10**5])
def test_a_damaged_memory_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "sent.json").write_text(content)
    assert DeliveryState.load(tmp_path) == DeliveryState()


@given(st.text(max_size=400))
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    key = value_limits.key(name)
    _validate_metric_name(key)  # type: ignore[no-untyped-call]
    _validate_param_name(key)  # type: ignore[no-untyped-call]
    assert len(key) <= value_limits.KEY and posixpath.normpath(key) == key


@pytest.mark.parametrize("name", ["train/loss", "seed/1/alpha", "validation/accuracy", "phases.warm-up.epochs", "a b"])
def test_names_that_mlflow_takes_stay(name: str) -> None:
    assert value_limits.key(name) == name


def test_options_are_flat_and_no_longer_than_mlflow_allows() -> None:
    found = value_limits.parameters({"a": {"b": {"c": 1}, "d": {}}, "e": [1, 2], "f": None, "g": "x" * 9999})
    assert {name: found[name] for name in "aef" if name in found} == {"e": "[1, 2]", "f": "None"}
    assert (found["a.b.c"], found["a.d"], len(found["g"])) == ("1", "{}", value_limits.PARAM)
