"""Who is champion, and what is listed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shipped import Shop

from kasmina.cli.main import main
from kasmina_loggers.mlflow import tracking_store

LIGHT = """
import sys
from kasmina.cli.main import main
for command in ("promote", "models", "serve", "ui"):
    assert main([command, "--help"]) == 0
assert not {"mlflow", "torch", "tensorboard", "uvicorn", "rich"} & set(sys.modules), sorted(sys.modules)
sys.modules["mlflow"] = None
for words in (["promote", "runs/x"], ["models"], ["serve"], ["ui"]):
    assert main(words) == 2
"""


class Registry:
    """A store of its own, and the commands that ask it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.capsys = capsys

    @property
    def client(self) -> Any:
        return tracking_store.client(self.uri)

    def call(self, *words: str, status: int = 0) -> str:
        self.capsys.readouterr()
        assert main([*words, "--tracking-uri", self.uri]) == status
        assert not {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & os.environ.keys()
        said = self.capsys.readouterr()
        return (said.err if status else said.out).strip()

    def promote(self, run: Path, *words: str, status: int = 0) -> str:
        return self.call("promote", str(run), *words, status=status)

    def champion(self, name: str = "spirals") -> int:
        return int(self.client.get_model_version_by_alias(name, "champion").version)

    def state(self, name: str = "spirals") -> tuple[Any, ...]:
        """All that a second promotion must leave as it is."""
        client = self.client
        versions = [dict(version) for version in client.search_model_versions(f"name='{name}'")]
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        models = {model.model_id for model in client.search_logged_models(experiments)}
        return versions, dict(client.get_registered_model(name).aliases), models


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which nothing is registered: to make one takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    tracking_store.client(f"sqlite:///{folder}/mlflow.db").search_registered_models()
    return folder / "mlflow.db"


@pytest.fixture
def registry(tmp_path: Path, capsys: pytest.CaptureFixture[str], empty: Path) -> Registry:
    shutil.copy(empty, tmp_path)
    return Registry(tmp_path, capsys)


def test_the_better_one_holds_the_alias(shop: Shop, registry: Registry) -> None:
    spirals, better, equal = map(shop.run, ["spirals", "better", "equal"])
    worth = {run: json.loads((run / "summary.json").read_text())["test"] for run in (spirals, better, equal)}
    assert worth[spirals] == worth[equal] < worth[better]
    apart = f"{worth[better] - worth[spirals]:.3g}"

    first = registry.promote(spirals)
    assert first == f"version 1 of spirals is champion: test accuracy {worth[spirals]:.4f}; nothing was before"
    before = registry.state()
    again = registry.promote(spirals)
    assert again == "nothing changed: version 1 of spirals, this very network, is champion already"
    assert registry.state() == before

    assert registry.promote(equal).startswith("not promoted: version 2 of spirals has a test accuracy")
    assert registry.champion() == 1
    before = registry.state()
    assert "exactly as version 1, which stays champion" in registry.promote(equal)
    assert registry.state() == before

    told = json.loads(registry.promote(better, "--json"))
    assert (told["promoted"], told["registered"], told["version"], told["holder"]) == (True, True, "3", "1")
    assert (told["value"], told["holder_value"]) == (worth[better], worth[spirals])
    assert registry.champion() == 3

    before = registry.state()
    worse = registry.promote(spirals)
    assert worse.startswith("not promoted: version 1 of spirals") and f"{apart} worse than version 3" in worse
    told = json.loads(registry.promote(spirals, "--json"))
    assert (told["promoted"], told["registered"]) == (False, False)
    assert registry.state() == before


def test_two_at_once_register_one_version(shop: Shop, registry: Registry) -> None:
    words = [sys.executable, "-m", "kasmina", "promote", str(shop.run("spirals")), "--tracking-uri", registry.uri]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    said, complaints = zip(*sorted(one.communicate() for one in both), strict=True)
    assert [one.returncode for one in both] == [0, 0] and not any(complaints), complaints
    assert [sentence.split(":")[0] for sentence in said] == ["nothing changed", "version 1 of spirals is champion"]
    assert len(registry.state()[0]) == 1


def test_the_models_are_measured_and_no_tag_is_believed(shop: Shop, registry: Registry) -> None:
    registry.promote(shop.run("spirals"))
    registry.client.set_model_version_tag("spirals", "1", "kasmina.test", "1.0")
    said = registry.promote(shop.run("better"), "--if-better", "loss")
    assert said.startswith("version 2 of spirals is champion: test loss ") and "better than version 1" in said
    assert registry.champion() == 2


def test_who_cannot_be_compared_is_refused_and_nothing_is_left(shop: Shop, registry: Registry) -> None:
    registry.promote(shop.run("spirals"), "--name", "mine")
    before = registry.state("mine")
    said = registry.promote(shop.run("digits"), "--name", "mine", status=2)
    assert "version 1 of mine, which is champion, is no model of the task 'digits'" in said
    assert "there are accuracy and loss" in registry.promote(shop.run("better"), "--if-better", "f1", status=2)
    assert registry.state("mine") == before
    registry.promote(shop.run("wine"), "--name", "tables")
    said = registry.promote(shop.run("diabetes"), "--name", "tables", status=2)
    assert "version 1 of tables, which is champion, is no model" in said


def test_a_version_is_linked_to_the_run_that_mlflow_has(shop: Shop, registry: Registry) -> None:
    client, run = registry.client, shop.run("better")
    sent = client.create_run(tracking_store.experiment(client, "mine", run.parent)).info.run_id
    note = run / "mlflow" / "sent.json"
    note.parent.mkdir()
    try:
        note.write_text(json.dumps({"run_id": sent}))
        registry.promote(run)
        assert client.get_model_version("spirals", "1").run_id == sent
        [model] = client.get_run(sent).outputs.model_outputs
        assert client.get_logged_model(model.model_id).tags["kasmina.task"] == "spirals"
        note.write_text(json.dumps({"run_id": "0" * 32}))  # of another store
        assert "already" in registry.promote(run)
    finally:
        note.unlink()
        note.parent.rmdir()


def test_nothing_is_listed_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry = Registry(tmp_path / "runs", capsys)
    assert "nothing is registered in" in registry.call("models")
    assert json.loads(registry.call("models", "--json")) == []
    assert not list(tmp_path.iterdir())


def test_what_is_registered_is_listed(shop: Shop, registry: Registry) -> None:
    assert "nothing is registered in" in registry.call("models")
    registry.promote(shop.run("spirals"), "--alias", "first")
    registry.promote(shop.run("better"))
    new, old = json.loads(registry.call("models", "--json"))
    assert [new["version"], new["aliases"], new["run"]] == [2, ["champion"], "better"]
    assert [old["version"], old["aliases"], old["metric"]] == [1, ["first"], "accuracy"]
    header, first, second = registry.call("models").splitlines()
    assert header.split() == ["model", "version", "alias", "metric", "run", "registered"]
    assert first.split()[:5] == ["spirals", "2", "champion", "accuracy", f"{new['test']:.4f}"]


def test_a_store_that_is_none_costs_a_sentence(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--tracking-uri", "http://127.0.0.1:9"]) == 1
    why = "does not answer: [Errno 111] Connection refused; --tracking-uri names another"
    assert capsys.readouterr().err == f"kasmina: MLflow at http://127.0.0.1:9 {why}\n"
    assert main(["models", "--tracking-uri", "foo://bar"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("kasmina: MLflow at foo://bar: ") and said.count("\n") == 1


def test_a_name_that_mlflow_does_not_take_costs_a_sentence(shop: Shop, registry: Registry) -> None:
    assert "a/b:c" in registry.promote(shop.run("spirals"), "--name", "a/b:c", status=2)


def test_the_path_of_a_database_is_as_good_as_its_uri(tmp_path: Path) -> None:
    assert tracking_store.where("some/mlflow.db", tmp_path) == tracking_store.where(
        "sqlite:///some/mlflow.db", tmp_path
    )
    assert tracking_store.where("http://here/mlflow.db", tmp_path) == "http://here/mlflow.db"


def test_help_costs_nothing_and_what_is_missing_is_told(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("pip install 'kasmina-loggers[mlflow]'") == 4
