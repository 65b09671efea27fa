"""Tracer that writes a host as a graph of torch's own modules and functions, and runs two batches alongside.

Two batches of different sizes are computed while the graph is written down. What Python asks about a tensor (its number
of dimensions, its width, whether it is an image) has an answer if it is the same for both; if it is not, it depends on
the batch, and stays in the graph as a value of its own. So a forward that branches on shapes can be traced, which
`torch.fx` by itself refuses; one that branches on values is refused here too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from kasmina.growth.export.graph import named

ABOUT = frozenset(
    "size dim ndimension numel nelement stride is_floating_point is_complex element_size get_device is_contiguous type "
    "storage_offset getattr getitem".split()
)
"""Names of functions that read the form of a tensor and not its values."""


class Untraceable(Exception):
    """Raised when a host cannot be written as a graph; the message says why."""


class Proxy(fx.Proxy):
    """A value in the graph, with an example from each of the two batches."""

    tracer: Tracer

    def __getattr__(self, name: str) -> Any:
        value = self.tracer.values[self.node][0]
        if isinstance(value, Tensor) and hasattr(value, name) and not callable(getattr(value, name)):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return super().__getattr__(name)

    def __len__(self) -> int:
        lengths = {len(value) for value in self.tracer.values[self.node]}
        if len(lengths) > 1:
            raise Untraceable("its forward counts the rows of a batch in Python")
        return lengths.pop()

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def __iter__(self) -> Iterator[Any]:
        return self.tracer.iter(self)


class Root(nn.Module):
    """Root module with the host's own parts under their own names and the seeds' modules next to them."""

    def __init__(self, host: nn.Module, bodies: Mapping[str, nn.Module], alphas: Mapping[str, Tensor]) -> None:
        super().__init__()
        if leaf(host):
            self.add_module("host", host)
        else:
            self._modules.update(host._modules)
            self._parameters.update(host._parameters)
            self._buffers.update(host._buffers)
        for name, body in bodies.items():
            self.add_module(name, body)
        for name, alpha in alphas.items():
            self.register_buffer(name, alpha)
        object.__setattr__(self, "whole", host)

    def forward(self, x: Tensor) -> Any:
        return self.whole(x)  # type: ignore[operator]


class Tracer(fx.Tracer):
    """Tracer of what a host computes, the hooks of seeds included.

    Args:
        samples: two batches of different sizes.
        seeds: modules whose methods are hooks that belong into the graph.
    """

    proxy_buffer_attributes = True

    def __init__(self, samples: tuple[Tensor, Tensor], seeds: frozenset[nn.Module]) -> None:
        super().__init__()
        self.values: dict[fx.Node, tuple[Any, Any]] = {}
        """Value of every node for either batch."""
        self._samples = samples
        self._seeds = seeds
        self._computing = False

    def proxy(self, node: fx.Node) -> Proxy:
        return Proxy(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        values = self._examples(kind, target, args, kwargs)
        if not any(holds_tensor(value) for value in values):
            if holds_tensor(map_aggregate((args, kwargs), self._first)) and named(target) not in ABOUT:
                raise Untraceable(f"its forward takes a decision on the values of a tensor ({named(target)})")
            if type(values[0]) is type(values[1]) and values[0] == values[1]:
                return values[0]
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        self.values[proxy.node] = values
        if isinstance(values[0], Tensor):
            proxy.node.meta["shapes"] = tuple(tuple(value.shape) for value in values)
        return proxy

    def to_bool(self, obj: fx.Proxy) -> bool:
        first, second = self.values[obj.node]
        if isinstance(first, Tensor) or bool(first) is not bool(second):
            raise Untraceable("its forward branches on the values of a tensor, or on the size of a batch")
        return bool(first)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        return iter([obj[place] for place in range(len(obj))])  # type: ignore[index]

    def path_of_module(self, mod: nn.Module) -> str:
        """Return the path of a module; the host's own path is empty, because its parts stand in the root."""
        own = mod is getattr(self.root, "whole", None) and not leaf(mod)
        return "" if own else super().path_of_module(mod)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if not leaf(m):
            return False
        # Seeds that stand within, as in a layer of a transformer, are to be seen; and such a layer computes in another
        # order if it has hooks, which is to the bit what it did while it grew.
        return isinstance(m, nn.MultiheadAttention) or not list(m.children()) or not any(map(self._hooked, m.modules()))

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._computing or not self.is_leaf_module(m, ""):
            return forward(*args, **kwargs)
        for hook in self.own_hooks(m._forward_pre_hooks):
            hook(m, args, kwargs)
        output = self.create_proxy("call_module", self.path_of_module(m), args, kwargs)
        hooks = self.own_hooks(m._forward_hooks)
        if hooks and isinstance(self.values[output.node][0], tuple):
            output = tuple(output)
        for hook in hooks:
            given = hook(m, args, output)
            output = output if given is None else given
        return output

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def own_hooks(self, hooks: Mapping[int, Any]) -> list[Any]:
        """Return the hooks of seeds; hooks of others stay with the module and are copied with it."""
        return [hook for hook in hooks.values() if getattr(hook, "__self__", None) in self._seeds]

    def _hooked(self, module: nn.Module) -> bool:
        return bool(self.own_hooks(module._forward_pre_hooks) or self.own_hooks(module._forward_hooks))

    def _first(self, argument: Any) -> Any:
        return self.values[argument.node][0] if isinstance(argument, fx.Proxy) else argument

    def _examples(self, kind: str, target: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        if kind == "placeholder":
            return self._samples
        with self._by_itself():
            return self._example(0, kind, target, args, kwargs), self._example(1, kind, target, args, kwargs)

    def _example(self, batch: int, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        def value(argument: Any) -> Any:
            return self.values[argument.node][batch] if isinstance(argument, fx.Proxy) else argument

        args, kwargs = map_aggregate(args, value), map_aggregate(kwargs, value)
        if kind == "get_attr":
            return operator.attrgetter(target)(self.root)
        if kind == "call_module":
            return self.root.get_submodule(target).forward(*args, **kwargs)
        if kind == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs)

    @contextmanager
    def _by_itself(self) -> Iterator[None]:
        """Keep calls of modules out of the graph within the context."""
        before, self._computing = self._computing, True
        try:
            yield
        finally:
            self._computing = before


@contextmanager
def counting(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let the forwards of these modules take ``len(x)`` of a batch within the context."""

    def count(x: Any) -> Any:
        if isinstance(x, Proxy) and isinstance(x.tracer.values[x.node][0], Tensor):
            return x.shape[0]
        return len(x)

    authors = (type(module).forward for module in modules if not type(module).__module__.startswith("torch."))
    spaces = [space for space in (getattr(forward, "__globals__", {}) for forward in authors) if "len" not in space]
    for space in spaces:
        space["len"] = count
    try:
        yield
    finally:
        for space in spaces:
            space.pop("len", None)


def leaf(module: nn.Module) -> bool:
    """Return whether a module is torch's own and stays whole in the graph; containers do not."""
    own = type(module).__module__.startswith("torch.nn.modules.")
    return own and not isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)


def holds_tensor(value: Any) -> bool:
    if isinstance(value, dict):
        value = tuple(value.values())
    return isinstance(value, Tensor) or (isinstance(value, tuple | list) and any(map(holds_tensor, value)))
