"""A run's network as one program, from unscaled samples to probabilities or values in the task's units."""

from __future__ import annotations

from torch import Tensor
from torch.export import ExportedProgram

from kasmina.errors import KasminaError
from kasmina.growth.export.plain import TOLERANCE, distance, plain
from kasmina.growth.export.program import program
from kasmina.run.inference import InferenceModel
from kasmina.run.restore import Trained


def inference_program(trained: Trained, x: Tensor) -> ExportedProgram:
    """Return the network as a program that maps samples (N, *in_shape) in float32 to outputs (N, outputs) in float64.

    Its seeds are not folded into the host's layers, so that the program computes what the run measured. It needs only
    torch, and holds no pickle.

    Args:
        trained: network of a run, on the CPU.
        x: unscaled samples (N, *in_shape), with which the program is traced and checked.

    Raises:
        UsageError: the host cannot be exported.
        KasminaError: the program does not compute what the network does.
    """
    splits = trained.splits
    bare = plain(trained.host, trained.seeds, splits.validation.x, folding=False).module
    exported = program(InferenceModel(bare, splits).eval(), x)
    exported.example_inputs = None  # would be kept as a pickle
    off = distance(exported.module(), InferenceModel(trained.host, splits), x)
    if off > TOLERANCE:
        raise KasminaError(f"the model would be off by {off:.1e}: does the host draw random numbers as it is measured?")
    return exported
