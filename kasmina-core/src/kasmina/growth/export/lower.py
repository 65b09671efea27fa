"""Lowering of a graph to what runs it: `nn.Sequential` for a chain, and a graph of cheap calls for all else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from kasmina.growth.export import linear
from kasmina.growth.export.graph import module_of, source
from kasmina.growth.export.normalize import name_activations

FUNCTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.ReLU: torch.relu,
    nn.Tanh: torch.tanh,
    nn.Sigmoid: torch.sigmoid,
    nn.GELU: nn.functional.gelu,
    nn.SiLU: nn.functional.silu,
}


def layers(module: fx.GraphModule) -> nn.Module:
    """Return a chain as `nn.Sequential`, and any other graph with functions where they are cheaper than modules."""
    name_activations(module)
    chain = _chain(module)
    if chain is None:
        for node in list(module.graph.nodes):
            _call_function(node)
        module.delete_all_unused_submodules()
    module.recompile()
    return module if chain is None else chain


def direct(module: nn.Module) -> nn.Module:
    """Return the same module without the wrapper of a graph, which costs about a microsecond a call."""
    if not isinstance(module, fx.GraphModule):
        return module
    outer = nn.Module()
    outer.add_module("graph", module)
    outer.forward = module.forward
    return outer.eval()


def _call_function(node: fx.Node) -> None:
    called = module_of(node)
    if isinstance(called, nn.Linear) and linear.is_layer(called):
        with node.graph.inserting_before(node):
            weight = node.graph.get_attr(f"{node.target}.weight")
            bias = None if called.bias is None else node.graph.get_attr(f"{node.target}.bias")
        node.op, node.target, node.args = "call_function", nn.functional.linear, (source(node), weight, bias)
    for kind, function in FUNCTIONS.items():
        if repr(called) == repr(kind()):
            node.op, node.target = "call_function", function


def _chain(module: fx.GraphModule) -> nn.Sequential | None:
    _, *inner, output = module.graph.nodes
    chain = nn.Sequential()
    before = next(iter(module.graph.nodes))
    for node in inner:
        layer = _layer(node)
        if layer is None or source(node) is not before or len(before.users) > 1:
            return None
        chain.add_module(_name(node, chain), layer)
        before = node
    return chain.eval() if output.args[0] is before and len(chain) else None


def _layer(node: fx.Node) -> nn.Module | None:
    if node.op == "call_module":
        return module_of(node)
    if node.target in ("flatten", torch.flatten) and all(isinstance(axis, int) for axis in node.args[1:]):
        first, last = [*node.args[1:], 0, -1][:2] if len(node.args) != 2 else (node.args[1], -1)
        return nn.Flatten(first, last) if not node.kwargs else None  # type: ignore[arg-type]
    return None


def _name(node: fx.Node, chain: nn.Sequential) -> str:
    name = str(node.target if node.op == "call_module" else node.name).replace(".", "_")
    while hasattr(chain, name):
        name += "_"
    return name
