"""Normal form of a graph for folding: modules for activation functions, and nothing that overwrites its input."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from itertools import chain, count

import torch
from torch import fx, nn
from torch.nn.modules import dropout

from kasmina.growth.export import linear
from kasmina.growth.export.graph import erase, module_of, named, overwrites, own_layer, put, replace, source

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "celu": nn.CELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "hardtanh": nn.Hardtanh,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
}
"""Elementwise activations without weights: the module for the name of each function, with equal options."""
ARITHMETIC = frozenset({operator.add, operator.sub, operator.mul, operator.truediv, torch.add, torch.mul, torch.clone})
FRESH = (*linear.KINDS, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, *ACTIVATIONS.values())


def tidy(module: fx.GraphModule) -> bool:
    """Normalise a graph without changing a number; return whether nothing in it overwrites its input any more."""
    for change in (_drop_dropout, _keep_apart, _name_activation, _drop_copies, _scale):
        _each(module, change)
    return not any(overwrites(node, module) for node in module.graph.nodes)


def name_activations(module: fx.GraphModule) -> None:
    """Replace functions such as ``torch.relu(x)`` and ``x.relu()`` by modules, which compute the same bits."""
    _each(module, _name_activation)


def _each(module: fx.GraphModule, change: Callable[[fx.GraphModule, fx.Node], None]) -> None:
    for node in list(module.graph.nodes):
        if node.users or overwrites(node, module):  # and was not taken out meanwhile
            change(module, node)


def activation(node: fx.Node) -> str | None:
    """Return the kind of activation of a node with its options; None if it is no activation."""
    module = module_of(node)
    return repr(module) if type(module) in ACTIVATIONS.values() else None


def _drop_dropout(module: fx.GraphModule, node: fx.Node) -> None:
    """Remove dropout, which is the identity in evaluation mode."""
    called = module_of(node)
    if isinstance(called, dropout._DropoutNd | nn.Identity):
        replace(node, source(node))


def _name_activation(module: fx.GraphModule, node: fx.Node) -> None:
    if node.op not in ("call_function", "call_method") or named(node.target) not in ACTIVATIONS:
        return
    name, (first, *options) = named(node.target), node.args
    if not isinstance(first, fx.Node):
        return
    try:
        called = ACTIVATIONS[name](*options, **node.kwargs)
    except TypeError:
        return
    target = free(module, name)
    put(module, target, called.eval())
    with module.graph.inserting_after(node):
        new = module.graph.call_module(target, (first,))
    new.meta = dict(node.meta)
    replace(node, new)


def _keep_apart(module: fx.GraphModule, node: fx.Node) -> None:
    """Make in-place nodes return a new tensor, where nothing else shares the memory of their input."""
    before = node.args[0] if node.args else None
    if not overwrites(node, module) or not isinstance(before, fx.Node):
        return
    if not _fresh(before) or not all(user is node or _fresh(user) for user in before.users) or not _gives_new(node):
        return
    _rewired(before, node)


def _rewired(before: fx.Node, node: fx.Node) -> None:
    """Let nodes that read an overwritten tensor later read the node that overwrote it."""
    place = {each: number for number, each in enumerate(node.graph.nodes)}
    before.replace_all_uses_with(node, lambda user: place[user] > place[node])


def _gives_new(node: fx.Node) -> bool:
    """Make a node leave its input unchanged; return False if that is not possible."""
    called, name = module_of(node), named(node.target)
    if called is not None and type(called) in ACTIVATIONS.values():
        assert node.graph.owning_module is not None
        apart = copy.copy(called)
        apart.inplace = False  # type: ignore[assignment]
        node.target = free(node.graph.owning_module, str(node.target).rpartition(".")[2])
        put(node.graph.owning_module, str(node.target), apart)
    elif name in ACTIVATIONS:
        node.kwargs = {key: value for key, value in node.kwargs.items() if key != "inplace"}
    elif name.removesuffix("_") in ACTIVATIONS:
        node.op, node.target = "call_function", getattr(nn.functional, name.removesuffix("_"))
    elif node.op == "call_function" and name in ("iadd", "imul", "isub"):
        node.target = getattr(operator, name.removeprefix("i"))
    else:
        return False
    return True


def _fresh(node: fx.Node) -> bool:
    """Return whether the output of a node is known to lie in memory of its own."""
    if node.op == "call_module":
        called = module_of(node)
        return type(called) in FRESH and not getattr(called, "inplace", False)
    functional = not node.kwargs.get("inplace") and node.op in ("call_function", "call_method")
    return functional and (node.target in ARITHMETIC or named(node.target) in ACTIVATIONS or node.target == "clone")


def _drop_copies(module: fx.GraphModule, node: fx.Node) -> None:
    """Remove copies, which matter only where something overwrites."""
    if node.op != "call_method" or len(node.args) != 1 or node.kwargs:
        return
    if node.target == "clone" and not any(overwrites(each, module) for each in module.graph.nodes):
        replace(node, source(node))
    elif node.target == "contiguous" and all(user.op == "call_module" for user in node.users):
        replace(node, source(node))


def _scale(module: fx.GraphModule, node: fx.Node) -> None:
    """Multiply a constant, such as the alpha of a seed, into the weights of the layer that it scales."""
    if node.op != "call_function" or node.target not in (operator.mul, torch.mul) or len(node.args) != 2 or node.kwargs:
        return
    for number, node_scaled in (node.args, node.args[::-1]):
        if not isinstance(number, fx.Node) or not isinstance(node_scaled, fx.Node) or number.op != "get_attr":
            continue
        factor = operator.attrgetter(str(number.target))(module)
        layer = own_layer(node_scaled)
        if layer is not None and len(node_scaled.users) == 1 and factor.dim() == 0:
            module.set_submodule(str(node_scaled.target), linear.scaled(layer, float(factor)))
            node.replace_all_uses_with(node_scaled)
            erase(node)
            return


def free(module: nn.Module, name: str) -> str:
    """Return a name that no part of the module has."""
    return next(
        found for found in chain([name], (f"{name}_{number}" for number in count(1))) if not hasattr(module, found)
    )
