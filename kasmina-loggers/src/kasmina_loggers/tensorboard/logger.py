"""The TensorBoard plugin: it writes what a run logs to the run's folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from kasmina import Event, Incident, Metrics, Predictions, RunInfo, hookimpl
from kasmina_loggers.descriptions import describe_change, describe_incident
from kasmina_loggers.tensorboard import summary_values
from kasmina_loggers.tensorboard.embeddings import Embeddings
from kasmina_loggers.tensorboard.event_file import EventFile

if TYPE_CHECKING:
    from torch import nn

ROWS = 100
"""Maximum number of rows of the table of events, the latest ones; events.jsonl has all of them."""


@attrs.define(eq=False)
class TensorBoard:
    """Writer of a run to its folder `tensorboard`: ``tensorboard --logdir runs`` shows it.

    It has every metric by epoch, weights and gradients as histograms, the network after each germination, activations
    at the sites of seeds as points, figures of predictions, and options with their results. A run that is resumed, or
    goes back, removes what it will repeat. Needs ``pip install 'kasmina-loggers[tensorboard]'``.
    """

    _run: RunInfo | None = attrs.field(default=None, init=False)
    _events: EventFile | None = attrs.field(default=None, init=False)
    _embeddings: Embeddings | None = attrs.field(default=None, init=False)
    _epoch: int = attrs.field(default=0, init=False)
    """Epoch of the last metrics."""
    _pictured: int = attrs.field(default=-1, init=False)
    """Epoch of the last pictures."""
    _living: set[int] = attrs.field(factory=set, init=False)
    """Ids of the seeds that are in the network."""
    _story: list[str] = attrs.field(factory=list, init=False)
    """Rows of the table of events."""

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._close()  # the files of a run that never ended
        needed()
        folder = run.folder / "tensorboard"
        self._run, self._events, self._embeddings = run, EventFile(folder), Embeddings(folder)
        self._epoch, self._pictured, self._living, self._story = 0, -1, set(), []
        if run.resumed_at is None:
            self._add(summary_values.layout(charts(run.data.metric)), 0)

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        """Write an epoch's numbers; a seed's alpha begins with 0 one epoch earlier, and ends with 0."""
        now = {seed.id for seed in metrics.seeds}
        born = {seed.id for seed in metrics.seeds if seed.alpha > 0} - self._living
        self._add(summary_values.scalars(alphas(born)), step - 1)
        self._add(summary_values.scalars(alphas(self._living - now) | metrics.as_dict()), step)
        self._epoch, self._living = step, now
        if self._events is not None:
            self._events.flush()

    @hookimpl
    def log_histograms(self, histograms: Mapping[str, np.ndarray[Any, Any]], step: int) -> None:
        self._add(summary_values.histograms(histograms), step)

    @hookimpl
    def log_network(self, network: nn.Module, sample: np.ndarray[Any, Any], step: int) -> None:
        from kasmina_loggers.tensorboard.network_graph import graph

        drawn: list[Any] = []
        with suppress(Exception):  # whatever a stranger's forward raises, only the graph is lost
            drawn += graph(f"epoch {step}", network, sample)
        self._add(drawn, step)

    @hookimpl
    def log_predictions(self, predictions: Predictions, step: int) -> None:
        if self._run is None or self._embeddings is None or step == self._pictured:
            return
        from kasmina_loggers.figures import draw_figures

        self._pictured = step
        self._add(summary_values.images(draw_figures(predictions, self._run.data.features)), step)
        self._embeddings.add(predictions, step)

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        seed = event.seed
        change = f"{event.before.value} → {seed.stage.value}"
        self._tell(event.epoch, f"seed {seed.id} at {seed.site}", change, describe_change(event))

    @hookimpl
    def on_incident(self, incident: Incident) -> None:
        self._tell(incident.epoch, "the run", incident.kind, describe_incident(incident))

    @hookimpl
    def on_run_end(self, run: RunInfo, summary: Mapping[str, Any]) -> None:
        found = results(summary)
        self._add(summary_values.scalars(found), self._epoch)
        named = [*found, f"validation/{run.data.metric}", "validation/loss", "parameters", "flops"]
        self._add(summary_values.options(run.config, named, summary.get("status") == "failed"), self._epoch)
        self._close()

    def state_dict(self) -> dict[str, Any]:
        name, size = self._events.position if self._events else ("", 0)
        return {
            "file": name,
            "bytes": size,
            "embeddings": self._embeddings.count if self._embeddings else 0,
            "epoch": self._epoch,
            "pictured": self._pictured,
            "living": sorted(self._living),
            "story": list(self._story),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._epoch, self._pictured = state["epoch"], state["pictured"]
        self._living, self._story = set(state["living"]), list(state["story"])
        if self._events is not None and self._embeddings is not None:
            self._events.go_back(state["file"], state["bytes"])
            self._embeddings.go_back(state["embeddings"])

    def _tell(self, epoch: int, *cells: str) -> None:
        """Add a row to the table of events and write all of it: TensorBoard shows only ten texts of a name."""
        self._story = [*self._story, row(str(epoch), *cells)][-ROWS:]
        head = [row("at", "who", "what", "why"), row(*["---"] * 4)]
        self._add(summary_values.text("growth", "\n".join([*head, *self._story])), epoch)

    def _add(self, found: Iterable[Any], step: int) -> None:
        if self._events is not None:
            self._events.add(found, step)

    def _close(self) -> None:
        if self._events is not None:
            self._events.close()
        self._run = self._events = self._embeddings = None


def needed() -> None:
    """Raise if TensorBoard or matplotlib is not installed; the latter is not imported, which would take a second.

    Raises:
        ImportError: one of them is missing.
    """
    try:
        import_module("torch.utils.tensorboard")
        if find_spec("matplotlib") is None:
            raise ImportError("No module named 'matplotlib'")
    except ImportError as error:
        raise ImportError(f"{error}; pip install 'kasmina-loggers[tensorboard]'") from error


def charts(metric: str) -> dict[str, dict[str, list[str]]]:
    """Return the groups of charts on the page Custom Scalars."""
    return {
        "seeds": {"alpha": [r"seed/\d+/alpha"], "contribution": [r"seed/\d+/contribution"]},
        "learning": {"loss": ["train/loss", "validation/loss"], metric: [f"validation/{metric}", f"test/{metric}"]},
        "cost": {"parameters": ["parameters"], "flops": ["flops"], "learning rate": ["learning_rate"]},
    }


def alphas(seeds: Iterable[int]) -> dict[str, float]:
    """Return an alpha of 0 for each of these seeds, by the names of their series."""
    return {f"seed/{seed}/alpha": 0.0 for seed in sorted(seeds)}


def results(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the results that are known only at the end of a run."""
    seeds = summary.get("seeds") or []
    found = {
        f"test/{summary.get('metric')}": summary.get("test"),
        "seeds": sum(seed["stage"] != "culled" for seed in seeds),
        "seconds": summary.get("seconds"),
    }
    return {name: value for name, value in found.items() if value is not None}


def row(*cells: str) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"
