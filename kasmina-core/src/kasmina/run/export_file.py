"""A run's network as a file that needs no Kasmina, and a JSON file that says how to use it."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kasmina.errors import KasminaError, UsageError
from kasmina.files import write
from kasmina.growth.export.formats import find_format
from kasmina.growth.export.plain import TOLERANCE, Plain, distance, plain
from kasmina.growth.seed import Seed
from kasmina.records import Stage
from kasmina.run.data import Scaler
from kasmina.run.objective import evaluate
from kasmina.run.restore import Trained, restore

SUFFIXES = {".pt": "torch", ".pth": "torch", ".pt2": "pt2", ".onnx": "onnx"}


def export(
    path: Path,
    format: str | None,
    out: Path | None,
    folding: bool,
    trust: bool = False,
    *,
    checkpoint: str = "best",
    warn: Callable[[str], None] = warnings.warn,
) -> dict[str, Any]:
    """Write the network of the run at `path` to `out`, and `out`.json next to it; return the content of the latter.

    Args:
        format: Format of the file; None takes the suffix of `out`, or torch.
        out: File to write; None is ``exports/model.<suffix>`` in the run's folder.
        trust, checkpoint, warn: As for `restore`.

    Raises:
        UsageError: There is no run, a library of the format is missing, the host cannot be exported, or `out` written.
        KasminaError: The file would not compute what the network does; nothing was written.
    """
    format = format or _format_of(out)
    form = find_format(format)
    if out and out.suffix in SUFFIXES and SUFFIXES[out.suffix] != format:
        raise UsageError(f"--out {out}: is a name for {SUFFIXES[out.suffix]}, and --format is {format}")
    trained = restore(path, "cpu", trust, checkpoint=checkpoint, warn=warn)
    x = trained.splits.validation.x
    result = plain(trained.host, trained.seeds, x, folding)
    content, run = form.write(result, x)
    off, allowed = distance(run, trained.host, x), TOLERANCE if result.folded or not form.exact else 0.0
    if off > allowed:
        raise KasminaError(
            f"the export to {format} would be off by {off:.1e}, and {allowed:.0e} is allowed: does the host or a seed "
            "draw random numbers in evaluation mode, or set their seed?"
        )
    out = out or _own_folder(path) / f"model{form.suffix}"
    record = {"file": str(out), "format": format, "difference": off} | describe(trained, result)
    try:
        write(out, content)
        write(out.with_name(f"{out.name}.json"), (json.dumps(record, indent=2) + "\n").encode())
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}; choose another --out") from error
    return record


def _own_folder(run: Path) -> Path:
    """Return the folder of exports within a run's folder.

    Raises:
        UsageError: The folder is a link, which might lead anywhere in a stranger's run.
    """
    folder = run / "exports"
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link: name the file with --out")
    return folder


def _format_of(out: Path | None) -> str:
    return SUFFIXES.get(out.suffix, "torch") if out else "torch"


def describe(trained: Trained, result: Plain) -> dict[str, Any]:
    """Return a description of the file: how to use it, and what became of the seeds in it."""
    splits, objective = trained.splits, trained.objective
    if splits.outputs is None:
        outputs = {"values": "logits, one a class", "classes": list(trained.classes)}
    else:
        outputs = {"values": "y * std + mean is the target"} | _scaling(splits.outputs)
    task = trained.config.task.name
    inputs = {"shape": ["batch", *splits.validation.x.shape[1:]], "dtype": "float32"}
    return {
        "input": inputs
        | {"values": f"(x - mean) / std of samples x as the task {task!r} loads them"}
        | _scaling(splits.inputs),
        "output": outputs,
        "metric": {
            "name": objective.metric_name,
            "validation": evaluate(trained.host, objective, splits.validation)[1],
        },
        "parameters": size(trained, result),
        "seeds": [_seed(seed, result) for seed in trained.seeds],
        "unfolded_because": result.unfolded_because,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("kasmina-core", "torch")},
    }


def size(trained: Trained, result: Plain) -> int:
    """Return the number of parameters that the file holds."""
    modules = [trained.host, *(seed.body for seed in trained.seeds)] if result.live else [result.module]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _seed(seed: Seed, result: Plain) -> dict[str, Any]:
    if seed.id in result.folded:
        part = "folded into the host's layers"
    else:
        part = "none, as it gives nothing yet" if seed.stage is Stage.TRAINING else "layers of its own"
    return {"id": seed.id, "site": seed.place.site.name, "blueprint": seed.blueprint, "stage": seed.stage, "part": part}


def _scaling(scaler: Scaler) -> dict[str, Any]:
    return {"mean": scaler.mean.tolist(), "std": scaler.std.tolist()}
