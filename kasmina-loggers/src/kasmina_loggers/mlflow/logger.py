"""The MLflow plugin: it writes records to an outbox, and another process sends them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
from attrs import validators

from kasmina import Metrics, Phase, Predictions, RunInfo, Stage, files, hookimpl
from kasmina_loggers.mlflow import run_record, tracking_store
from kasmina_loggers.mlflow.outbox import Outbox, own_folder
from kasmina_loggers.mlflow.sender_process import SenderProcess


def option(default: Any, text: str, *checks: Any) -> Any:
    return attrs.field(default=default, validator=list(checks), metadata={"help": text})


@attrs.define(eq=False)
class MLflow:
    """Tracker of the run in MLflow: options, metrics, growth, artefacts, the data set, the machine and the model.

    The default `tracking_uri` is the SQLite database in the folder of runs, which ``kasmina ui`` shows. Needs
    ``pip install 'kasmina-loggers[mlflow]'``. What a server misses while it is away is sent when it is back, or later
    by ``kasmina sync``.
    """

    tracking_uri: str = option("", "where to; none: MLFLOW_TRACKING_URI, or the SQLite database next to the runs")
    experiment: str = option("kasmina", "the experiment that the run is one of", validators.min_len(1))
    wait: float = option(60.0, "seconds to wait, at most, at the end until all is sent", validators.ge(0))
    system: float = option(5.0, "seconds from one measurement of the machine to the next; 0: none", validators.ge(0))
    _sender: SenderProcess | None = attrs.field(default=None, init=False)
    _outbox: Outbox | None = attrs.field(default=None, init=False)
    _run: RunInfo | None = attrs.field(default=None, init=False)
    _phase: str = attrs.field(default="", init=False)

    def prepare(self) -> None:
        """Start the sender, which imports MLflow while data and host are made ready."""
        if not missing():
            self._sender = SenderProcess()

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Open the outbox and give the sender its orders.

        Raises:
            ImportError: MLflow, psutil or matplotlib is not installed.
            OSError: the run's folder cannot be written.
        """
        if lacking := missing():
            raise ImportError(f"{lacking[0]} is not installed; pip install 'kasmina-loggers[mlflow]'")
        self._close()  # the outbox of a run that never ended
        self._run, self._phase = run, ""
        self._outbox = outbox = Outbox(own_folder(run.folder))
        mark = outbox.begun["id"] if outbox.begun else uuid.uuid4().hex
        outbox.tell("begin", id=mark, **run_record.facts(run, self.experiment))
        uri = tracking_store.where(self.tracking_uri, run.folder.parent)
        self._sender = self._sender or SenderProcess()
        self._sender.order(run.folder, uri, self.system)

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._phase = phase.name

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        if self._outbox is not None:
            numbers = {name: float(value) for name, value in metrics.as_dict().items()}
            tags = {"kasmina.phase": self._phase, "kasmina.growth": growth(seed.stage for seed in metrics.seeds)}
            self._outbox.hold_epoch(step, metrics=numbers, tags=tags)

    @hookimpl
    def log_predictions(self, predictions: Predictions, step: int) -> None:
        if self._outbox is None or self._run is None:
            return
        from kasmina_loggers.figures import as_png, draw_figures

        for name, figure in draw_figures(predictions).items():
            file = f"{name}-{step:04}.png"
            files.write(own_folder(self._run.folder, "figures") / file, as_png(figure))
            self._outbox.hold("artifact", step, path=f"figures/{file}")

    @hookimpl
    def log_artifact(self, path: Path) -> None:
        if self._outbox is not None and self._run is not None and path.is_relative_to(self._run.folder):
            self._outbox.tell("artifact", path=path.relative_to(self._run.folder).as_posix())

    @hookimpl
    def on_run_end(self, summary: Mapping[str, Any]) -> None:
        if self._outbox is not None:
            self._outbox.commit()
            self._outbox.tell("end", **ending(summary))
            self._close(self.wait)

    def state_dict(self) -> dict[str, Any]:
        """Commit the held records: a run never goes back further than to its last checkpoint."""
        if self._outbox is not None:
            self._outbox.commit()
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self._outbox is not None:
            self._outbox.drop()

    def _close(self, wait: float = 0) -> None:
        """Close the outbox, if one is open, and wait so many seconds until it is sent."""
        outbox, self._outbox = self._outbox, None
        if outbox is None:
            return
        try:
            outbox.close()
        finally:
            if self._sender is not None:
                self._sender.end(wait)
            self._sender = None


def missing() -> list[str]:
    """Return the modules that are not installed, without importing any, which would take seconds."""
    return [module for module in ("mlflow", "psutil", "matplotlib") if find_spec(module) is None]


def growth(stages: Iterable[Stage]) -> str:
    """Return the number of seeds in each stage: "2 active, 1 training"."""
    counts = Counter(stages)
    return ", ".join(f"{counts[stage]} {stage}" for stage in reversed(Stage) if counts[stage]) or "none"


def ending(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run's last record: status, test metric and final seeds."""
    found = {f"test/{summary.get('metric')}": summary.get("test")}
    stages = [Stage(seed["stage"]) for seed in summary.get("seeds") or []]
    return {
        "status": summary.get("status", "failed"),
        "step": int(summary.get("epochs") or 0),
        "metrics": {name: float(value) for name, value in found.items() if value is not None},
        "tags": {"kasmina.growth": growth(stages)}
        | ({"kasmina.error": summary["error"]} if "error" in summary else {}),
    }
