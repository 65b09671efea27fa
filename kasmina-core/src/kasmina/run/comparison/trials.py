"""The runs of a comparison, in one folder; a run that has finished there is not run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from kasmina import files
from kasmina.errors import UsageError
from kasmina.run.comparison.contestants import Contestant, SharedOptions
from kasmina.run.experiment import reason_of, resume_experiment, run_experiment
from kasmina.run.folder import Folder

FILE = "comparison.yaml"
"""Name of the file in a comparison's folder that holds what all its runs have in common."""


@frozen
class Trial:
    """One run of a comparison, and what came of it; scores are None where the run failed."""

    contestant: str
    seed: int
    folder: str
    status: str
    controller: str
    metric: str
    test: float | None
    validation: float | None
    parameters: int
    flops: int
    seconds: float

    @classmethod
    def of(cls, contestant: str, folder: Path, summary: dict[str, Any]) -> Trial:
        """Return what a summary says."""
        ended = summary["status"] == "finished"
        return cls(
            contestant,
            folder=str(folder),
            test=summary["test"] if ended else None,
            validation=summary["validation"] if ended else None,
            parameters=summary["parameters"]["final"],
            **{name: summary[name] for name in ("seed", "status", "controller", "metric", "flops", "seconds")},
        )


def comparison_folder(out: Path | None, shared: SharedOptions, task: str) -> Path:
    """Make the folder of a comparison, or take up an old one.

    Args:
        out: Folder; None takes ``runs/compare-<task>-<n>`` with the first free number.

    Raises:
        UsageError: It cannot be written, or holds something else.
    """
    folder = Folder.new(None, f"compare-{task}").path if out is None else out
    file, text = folder / FILE, shared.text
    try:
        if file.exists():
            if files.read(file) != text:
                raise UsageError(f"{folder} has runs with other options, those in {file}; choose another --out")
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} exists already and is not the folder of a comparison; choose another --out")
        files.write(file, text)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}; choose another --out") from error
    return folder


def carry_out(
    contestant: Contestant, seed: int, shared: SharedOptions, folder: Path, warn: Callable[[str], None]
) -> Trial:
    """Train one run, go on with it, or only read it, as far as it has come.

    Raises:
        UsageError: As `run_experiment` and `resume_experiment` do. A run whose training fails is a result.
    """
    path = folder / contestant.folder(seed)
    try:
        if path.exists():
            _, summary = resume_experiment(path, warn, shared.trust)
        else:
            _, summary = run_experiment(shared.config(contestant, seed), path, warn)
    except UsageError:
        raise
    except Exception as error:  # a host may raise anything
        summary = Folder(path).read_summary()
        if summary.get("status") != "failed":
            raise
        warn(f"{contestant.name}, seed {seed}: {reason_of(error)}")
    return Trial.of(contestant.name, path, summary)
