"""Programs of `torch.export` for any number of rows, without names of Kasmina in them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from kasmina.growth.evaluation_mode import evaluation_mode

NAMING = ("nn_module_stack", "stack_trace", "source_fn_stack", "from_node", "custom")
"""Metadata of a node about the code that it came from: classes, files, lines."""


def program(module: nn.Module, x: Tensor) -> ExportedProgram:
    """Return the module in evaluation mode as a program that takes (batch, *in_shape) for a batch of any size.

    Raises:
        Exception: of whatever kind, if its forward branches on values, or works for one size of a batch alone.
    """
    with evaluation_mode(module):
        exported = torch.export.export(module, (torch.cat([x[:1]] * 4),), dynamic_shapes=({0: Dim("batch")},))
    for node in exported.graph.nodes:
        for name in NAMING:
            node.meta.pop(name, None)
    return exported
