"""Tracing of a host with its seeds into torch's own modules, without hooks or classes of anybody else."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from kasmina.growth.export.graph import bare, overwrites, put
from kasmina.growth.export.tracer import Root, Tracer, counting
from kasmina.growth.seed import Seed
from kasmina.growth.sites.probe import untouched


def trace(host: nn.Module, seeds: Mapping[str, Seed], samples: Sequence[Tensor]) -> fx.GraphModule:
    """Return the host and its seeds in evaluation mode as one graph of torch's modules with copied weights.

    Args:
        seeds: by the names that their modules are to have; every part of the host keeps its own.
        samples: two batches of different sizes, of two rows at least.

    Raises:
        Exception: of whatever kind, if the forward does something that no graph can say.
    """
    bodies = {name: seed.body for name, seed in seeds.items()}
    alphas = {f"{name}_alpha": seed.alpha for name, seed in seeds.items()}
    first, second = (sample.clone() for sample in samples)
    with untouched(host):
        for seed in seeds.values():
            seed.eval()
        root = Root(host, bodies, alphas)
        tracer = Tracer((first, second), frozenset(seeds.values()))
        with counting([*host.modules(), *(part for body in bodies.values() for part in body.modules())]):
            graph = tracer.trace(root)
        graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output") or overwrites(node, root))
        plain = _copied(graph, root, tracer)
    module = bare(plain, graph)
    for node in module.graph.nodes:
        node.meta["seed"] = str(node.target).partition(".")[0] in seeds
    return module


def _copied(graph: fx.Graph, root: nn.Module, tracer: Tracer) -> nn.Module:
    """Return a module with copies of all that the graph uses; tied weights stay tied."""
    plain, memo = nn.Module(), dict[int, Any]()
    for target in dict.fromkeys(node.target for node in graph.nodes if node.op in ("call_module", "get_attr")):
        part = attrgetter(target)(root)
        put(
            plain,
            target,
            _copy_of_module(part, tracer, memo) if isinstance(part, nn.Module) else copy.deepcopy(part, memo),
        )
    return plain


def _copy_of_module(module: nn.Module, tracer: Tracer, memo: dict[int, Any]) -> nn.Module:
    """Copy a module without the seeds' hooks, which are in the graph, and without parametrisations."""
    kept = module._forward_pre_hooks, module._forward_hooks
    for name, hooks in zip(("_forward_pre_hooks", "_forward_hooks"), kept, strict=True):
        own = tracer.own_hooks(hooks)
        setattr(module, name, OrderedDict((id, hook) for id, hook in hooks.items() if hook not in own))
    try:
        copied = copy.deepcopy(module, memo)
    finally:
        module._forward_pre_hooks, module._forward_hooks = kept
    for part in copied.modules():
        for name in list(getattr(part, "parametrizations", ())):
            parametrize.remove_parametrizations(part, name)
    return copied
