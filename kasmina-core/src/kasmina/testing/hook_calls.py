"""Calls of every hook that a logger may have, each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kasmina.records import Event, SeedState, Stage
from kasmina.testing import simulated_records
from kasmina.testing.simulated_run import SimulatedRun


def hook_calls(simulated: SimulatedRun) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield one call of every hook that a logger may have, with arguments of this run."""
    run, phase = simulated.run, simulated.run.plan.phases[1]
    seed = SeedState(1, "layers.1", "bottleneck", Stage.BLENDING, 0.5, 40, 1)
    yield "on_run_start", {"run": run}
    yield "on_phase_start", {"phase": phase, "run": run}
    yield "on_step_end", {"step": 3}
    yield "on_epoch_end", {"observation": simulated.observe(phase, 3)}
    yield "on_seed_change", {"event": Event(2, 8, phase.name, seed, Stage.TRAINING, "trained")}
    yield "on_incident", {"incident": simulated.incident(phase)}
    yield "log_metrics", {"metrics": simulated.metrics, "step": 2}
    yield "log_histograms", {"histograms": simulated.histograms, "step": 2}
    if simulated.hooks.implements("log_network"):
        yield "log_network", simulated_records.network(2)
    yield "log_predictions", {"predictions": simulated.predictions, "step": 2}
    yield "log_artifact", {"path": simulated.folder / "config.yaml"}
    yield "on_run_end", {"run": run, "summary": simulated.summary}
