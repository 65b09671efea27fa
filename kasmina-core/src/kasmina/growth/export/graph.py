"""Queries and edits of a graph that tracing and folding share."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from kasmina.growth.export import linear
from kasmina.growth.export.linear import Layer

IN_PLACE = frozenset(
    getattr(operator, name)
    for name in "iadd isub imul itruediv ifloordiv imod ipow imatmul iand ior ixor ilshift irshift setitem".split()
)
ADD = frozenset({operator.add, torch.add, "add"})


def named(target: Any) -> str:
    """Return the plain name of a function or method: ``"relu"`` for ``torch.relu``."""
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def overwrites(node: fx.Node, root: nn.Module) -> bool:
    """Return whether a node changes its input in place."""
    if node.op == "call_module":
        return any(getattr(part, "inplace", False) for part in root.get_submodule(str(node.target)).modules())
    if node.op not in ("call_function", "call_method"):
        return False
    name = named(node.target)
    marked = name.endswith("_") and not name.endswith("__")
    return marked or node.target in IN_PLACE or bool(node.kwargs.get("inplace")) or node.kwargs.get("out") is not None


def bare(root: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """Return a module in evaluation mode of the graph and what it uses of `root`, without the tracer's records."""
    fresh = fx.Graph()
    given = fresh.graph_copy(graph, {})
    fresh.output(given[0] if isinstance(given, tuple) else given)  # torch.export gives a tuple of one
    for node in fresh.nodes:
        node.type = None  # written as text, an annotation cannot be saved
    module = fx.GraphModule(root, fresh, "Exported")
    module.training = False  # the modules in it are so already, and those of torch.export refuse to be told
    return module


def put(root: nn.Module, target: str, value: nn.Module | Tensor) -> None:
    """Set a module, parameter or buffer at a dotted name, and make the empty modules that lead to it."""
    *path, last = target.split(".")
    for name in path:
        if not hasattr(root, name):
            root.add_module(name, nn.Module())
        root = getattr(root, name)
    if isinstance(value, nn.Module):
        root.add_module(last, value)
    elif isinstance(value, nn.Parameter):
        root.register_parameter(last, value)
    else:
        root.register_buffer(last, value)


def module_of(node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls with one tensor and nothing else; None if it calls none."""
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs or not isinstance(node.args[0], fx.Node):
        return None
    owner = node.graph.owning_module
    return None if owner is None else owner.get_submodule(str(node.target))


def source(node: fx.Node) -> fx.Node:
    """Return the node that is the first argument."""
    first = node.args[0]
    assert isinstance(first, fx.Node)
    return first


def own_layer(node: fx.Node) -> Layer | None:
    """Return the linear layer that a node calls, if it is called nowhere else and shares its weights with no other."""
    module = module_of(node)
    if module is None or not linear.is_layer(module):
        return None
    mine = {id(parameter) for parameter in module.parameters()}
    for other in node.graph.nodes:
        if other is node or other.op not in ("call_module", "get_attr"):
            continue
        if mine & {id(parameter) for parameter in _parameters(other)}:
            return None
    return module  # type: ignore[return-value]


def _parameters(node: fx.Node) -> list[Any]:
    part = operator.attrgetter(str(node.target))(node.graph.owning_module)
    return list(part.parameters()) if isinstance(part, nn.Module) else [part]


def is_sum(node: fx.Node) -> bool:
    """Return whether a node adds two tensors of one shape."""
    if node.op not in ("call_function", "call_method") or node.target not in ADD or node.kwargs or len(node.args) != 2:
        return False
    shapes = [part.meta.get("shapes") for part in (*node.args, node) if isinstance(part, fx.Node)]
    return len(shapes) == 3 and shapes[0] is not None and shapes[0] == shapes[1] == shapes[2]


def replace(node: fx.Node, other: fx.Node) -> None:
    """Replace `node` by `other`, and erase all nodes that are no longer read."""
    node.replace_all_uses_with(other)
    erase(node)


def erase(node: fx.Node) -> None:
    """Erase a node that nobody reads, and the nodes that only it read."""
    if node.users or node.op in ("placeholder", "output"):
        return
    read = node.all_input_nodes
    node.graph.erase_node(node)
    for part in read:
        erase(part)
