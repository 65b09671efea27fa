"""A network for TensorBoard's page Graphs: one node per operation, in boxes named by modules.

Torch's `add_graph` uses `torch.jit.trace`, which is deprecated, makes two hundred nodes of a small convolutional
network, most of them constants, and draws the operations of a seed apart from it. TensorBoard also shows only the last
graph of `add_graph`, but offers a choice among graphs with names of their own, one after each germination.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from attrs import define, field
from torch import fx, nn

Shape = tuple[int, ...]


def graph(name: str, network: nn.Module, sample: np.ndarray[Any, Any]) -> Iterator[Any]:
    """Yield the network's graph, under this name, with the shapes of all tensors computed from `sample` (N, *in_shape).

    Raises:
        Exception: of any kind, if the network's forward cannot be traced.
    """
    from tensorboard.compat.proto.config_pb2 import RunMetadata
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.graph.metadata import PLUGIN_NAME_RUN_METADATA_WITH_GRAPH as PLUGIN

    traced = network if isinstance(network, fx.GraphModule) else fx.symbolic_trace(network)
    shapes = Shapes(traced)
    with torch.no_grad():
        shapes.run(torch.from_numpy(sample))
    metadata = RunMetadata()
    metadata.function_graphs.add().pre_optimization_graph.node.extend(Drawing(traced, shapes.found).nodes())
    yield Summary.Value(
        tag=name,
        tensor=TensorProto(dtype=DT_STRING, string_val=[metadata.SerializeToString()]),
        metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=PLUGIN, content=b"1")),
    )


class Shapes(fx.Interpreter):
    """Interpreter that runs a network and notes the shape of every tensor."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.found: dict[str, Shape] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self.found[n.name] = tuple(result.shape)
        return result


@define
class Drawing:
    """Drawing of a traced network, whose nodes get names in the order of computation."""

    network: fx.GraphModule
    shapes: dict[str, Shape]
    names: dict[fx.Node, str] = field(factory=dict)

    def nodes(self) -> Iterator[Any]:
        for node in self.network.graph.nodes:
            if not self.is_weight(node):
                self.names[node] = self.free(place(node))
                yield self.drawn(node)

    def drawn(self, node: fx.Node) -> Any:
        from tensorboard.compat.proto.attr_value_pb2 import AttrValue
        from tensorboard.compat.proto.node_def_pb2 import NodeDef

        drawn = NodeDef(name=self.names[node], op=self.operation(node))
        drawn.input.extend(self.names[source] for source in node.all_input_nodes if source in self.names)
        if node.name in self.shapes:
            batch, *rest = self.shapes[node.name] or (1,)
            sizes = [{"size": size} for size in ((-1, *rest) if node.op != "get_attr" else (batch, *rest))]
            drawn.attr["_output_shapes"].CopyFrom(AttrValue(list=AttrValue.ListValue(shape=[{"dim": sizes}])))
        count = self.parameters(node)
        if count:
            drawn.attr["parameters"].CopyFrom(AttrValue(i=count))
        return drawn

    def operation(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(self.network.get_submodule(str(node.target))).__name__
        known = {"placeholder": "Input", "output": "Output", "get_attr": "Parameter"}
        return known.get(node.op) or str(getattr(node.target, "__name__", node.target))

    def parameters(self, node: fx.Node) -> int:
        """Return the number of parameters of this operation."""
        if node.op == "call_module":
            return sum(p.numel() for p in self.network.get_submodule(str(node.target)).parameters())
        weights = [source for source in node.all_input_nodes if self.is_weight(source)]
        return sum(int(np.prod(self.shapes.get(weight.name, (0,)))) for weight in weights)

    def is_weight(self, node: fx.Node) -> bool:
        """Return whether the node is a layer's weight, which is drawn as part of the operation that uses it."""
        return node.op == "get_attr" and "." in str(node.target)

    def free(self, name: str) -> str:
        """Return the name, numbered in brackets if it is taken: TensorBoard stacks names numbered otherwise."""
        taken, again = set(self.names.values()), 1
        while (found := name if again == 1 else f"{name} ({again})") in taken:
            again += 1
        return found


def place(node: fx.Node) -> str:
    """Return the boxes in which a node lies, and its own name: "seed_1/0", "layers/1", "input"."""
    if node.op in ("placeholder", "output"):
        return "output" if node.op == "output" else "input"
    name = module_of(node)
    if name:
        return name
    operation = re.sub(r"_\d+$", "", node.name)
    before = {box_of(source) for source in node.all_input_nodes}
    seeds = [box for box in before if re.fullmatch(r"seed_\d+", box)]
    if seeds:  # it adds the seed's output
        return f"{seeds[0]}/{operation}"
    between = before & {box_of(user) for user in node.users}
    return f"{max(between, default='')}/{operation}".lstrip("/")


def module_of(node: fx.Node) -> str:
    """Return the path of the module that computes a node, or whose weights it uses; empty if there is none."""
    if node.op in ("call_module", "get_attr"):
        return boxed(str(node.target))
    for weight in (str(source.target) for source in node.all_input_nodes if source.op == "get_attr"):
        if "." in weight:  # a layer that is called as a function
            return boxed(weight.rpartition(".")[0])
        if boxed(weight).endswith("/alpha"):
            return boxed(weight).removesuffix("alpha") + "blend"
    named = boxed(node.name)
    return named if "/" in named else ""


def box_of(node: fx.Node) -> str:
    return module_of(node).rpartition("/")[0]


def boxed(name: str) -> str:
    """Return a module's dotted name as a path of boxes; what belongs to a seed is in the seed's box."""
    own = re.fullmatch(r"(seed_\d+)_+([^.]+)", name)
    return f"{own[1]}/{own[2]}" if own else name.replace(".", "/")
