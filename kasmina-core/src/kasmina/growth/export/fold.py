"""Makes seeds part of the host's own layers, where that is the same function.

With L, M linear layers or convolutions and f an activation, over every sum of the graph until nothing more is found:

- of the same input: ``L1 x + L2 x = (L1 + L2) x``, where a bare ``x`` counts as a layer of ones;
- one upon another: ``L (M x) = (L M) x``, where the product joins another term, or is no larger than the two were;
- side by side: ``L1 f(M1 x) + L2 f(M2 x) = L f(M x)``, M being the rows of M1 and M2, and L the columns of L1 and L2: a
  wider layer.

A layer that is called twice, or shares its weights, stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from attrs import frozen
from torch import fx

from kasmina.growth.export import linear
from kasmina.growth.export.graph import erase, is_sum, own_layer, replace, source
from kasmina.growth.export.linear import Geometry, Layer
from kasmina.growth.export.tidy import activation, tidy


def fold(module: fx.GraphModule) -> fx.GraphModule:
    """A folded copy; `module`, which must be in evaluation mode, stays as it is."""
    module = copy.deepcopy(module)
    if tidy(module):
        while _absorb(module) or _merge(module) or _compose(module):
            pass
    module.delete_all_unused_submodules()
    module.graph.lint()
    module.recompile()
    return module


@frozen(eq=False)
class Sum:
    """A tree of additions of which only the root is read from outside, and what they add up."""

    adds: tuple[fx.Node, ...]
    terms: tuple[fx.Node, ...]

    def without(self, term: fx.Node) -> None:
        """Takes one term out of the graph."""
        add = next(add for add in self.adds if term in add.args)
        left = [part for part in add.args if part is not term]
        replace(add, left[0])  # type: ignore[arg-type]


def sums(module: fx.GraphModule) -> list[Sum]:
    roots = [node for node in module.graph.nodes if is_sum(node) and not _within(node)]
    return [_sum(root) for root in roots]


def _within(node: fx.Node) -> bool:
    return len(node.users) == 1 and is_sum(next(iter(node.users)))


def _sum(root: fx.Node) -> Sum:
    adds, terms, open = [], list[fx.Node](), [root]
    while open:
        add = open.pop()
        adds.append(add)
        for part in add.args:
            assert isinstance(part, fx.Node)
            (open if is_sum(part) and _within(part) else terms).append(part)
    # The host's own come first, because what is folded goes into the first.
    places = {node: (node.meta.get("seed", False), place) for place, node in enumerate(root.graph.nodes)}
    return Sum(tuple(adds), tuple(sorted(terms, key=places.__getitem__)))


# -- of the same input -------------------------------------------------------------------------------------------------


def _absorb(module: fx.GraphModule) -> bool:
    return any(_absorb_into(chains) for sum in sums(module) for chains in _by_base(sum))


@frozen(eq=False)
class Chain:
    """A term of a sum: linear layers, the last one first, upon a node that is no such layer."""

    sum: Sum
    term: fx.Node
    layers: tuple[fx.Node, ...]
    base: fx.Node

    def product(self) -> Layer | None:
        """All its layers as one; None if they cannot be."""
        *later, first = self.layers
        result: Layer | None = own_layer(first)
        for node in reversed(later):
            layer = own_layer(node)
            result = linear.product(layer, result) if layer is not None and result is not None else None
        return result


def _by_base(sum: Sum) -> list[list[Chain]]:
    """Terms that read the same, two at least, if no term is there twice."""
    inside: set[fx.Node] = set(sum.adds)
    while True:
        chains = [_chain(sum, term, inside) for term in sum.terms]
        found = {node for chain in chains for node in chain.layers}
        if found <= inside:
            break
        inside |= found
    groups: dict[fx.Node, list[Chain]] = {}
    for chain in chains:
        groups.setdefault(chain.base, []).append(chain)
    alone = len(set(sum.terms)) == len(sum.terms)
    return [group for group in groups.values() if len(group) > 1 and alone]


def _chain(sum: Sum, term: fx.Node, inside: set[fx.Node]) -> Chain:
    """Down from a term as long as a layer is read by the sum alone, or by layers that are."""
    layers, node = list[fx.Node](), term
    while set(node.users) <= {*inside, *layers} and own_layer(node) is not None:
        layers.append(node)
        node = source(node)
    return Chain(sum, term, tuple(layers), node)


def _absorb_into(chains: Sequence[Chain]) -> bool:
    """One layer for all these terms, if one of them is a single layer already."""
    main = next((chain for chain in chains if len(chain.layers) == 1), None)
    if main is None:
        return False
    others = [chain for chain in chains if chain is not main]
    products = [chain.product() if chain.layers else None for chain in others]
    if any(product is None and chain.layers for product, chain in zip(products, others, strict=True)):
        return False
    layer = own_layer(main.term)
    assert layer is not None
    total = linear.total(layer, products)
    if total is None:
        return False
    _set(main.term, total)
    for number, chain in enumerate(others):
        # Every removal makes the sum another one.
        (chain.sum if number == 0 else _sum_of(main.term)).without(chain.term)
    return True


def _sum_of(term: fx.Node) -> Sum:
    root = next(user for user in term.users if is_sum(user))
    while _within(root):
        root = next(iter(root.users))
    return _sum(root)


# -- side by side ------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class Branch:
    """``later(between(earlier(x)))`` as a term of a sum, read by nothing else."""

    later: fx.Node
    between: fx.Node | None
    earlier: fx.Node
    key: tuple[fx.Node, str, Geometry, Geometry]
    """What must be equal in branches that become one: x, the activation, how each layer reads."""


def _branch(term: fx.Node) -> Branch | None:
    later = own_layer(term)
    if later is None or len(term.users) > 1:
        return None
    node = source(term)
    name = activation(node)
    between = node if name is not None else None
    earlier = source(node) if between is not None else node
    layer = own_layer(earlier)
    if layer is None or any(len(part.users) > 1 for part in (node, earlier)):
        return None
    key = source(earlier), name or "", linear.geometry(layer), linear.geometry(later)
    return Branch(term, between, earlier, key)


def _merge(module: fx.GraphModule) -> bool:
    for sum in sums(module):
        seen: dict[object, Branch] = {}
        for branch in filter(None, map(_branch, sum.terms)):
            first = seen.setdefault(branch.key, branch)
            if first is not branch:
                _widen(first, branch)
                sum.without(branch.later)
                return True
    return False


def _widen(branch: Branch, by: Branch) -> None:
    for one, other, join in (
        (branch.earlier, by.earlier, linear.stacked),
        (branch.later, by.later, linear.abreast),
    ):
        layers = own_layer(one), own_layer(other)
        assert layers[0] is not None and layers[1] is not None
        _set(one, join([layers[0], layers[1]]))


# -- one upon another --------------------------------------------------------------------------------------------------


def _compose(module: fx.GraphModule) -> bool:
    for node in module.graph.nodes:
        later = own_layer(node)
        earlier = own_layer(source(node)) if later is not None else None
        if later is None or earlier is None or len(source(node).users) > 1:
            continue
        product = linear.product(later, earlier)
        if product is not None and linear.size(product) <= linear.size(later) + linear.size(earlier):
            _set(node, product)
            before = source(node)
            node.args = (source(before),)
            erase(before)
            return True
    return False


def _set(node: fx.Node, layer: Layer) -> None:
    owner = node.graph.owning_module
    assert owner is not None
    owner.set_submodule(str(node.target), layer)
