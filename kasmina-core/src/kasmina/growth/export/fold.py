"""Folding of seeds into the host's own layers, where the result is the same function.

L and M are linear layers or convolutions, and f is an activation. Until nothing more is found, three rules are applied:

- layers of the same input: ``L1 x + L2 x = (L1 + L2) x``, where a bare ``x`` counts as a layer of ones;
- one layer after another: ``L (M x) = (L M) x``, where the product joins another term or is no larger;
- side by side: ``L1 f(M1 x) + L2 f(M2 x) = L f(M x)``, M being the rows of M1 and M2, and L the columns of L1 and L2: a
  wider layer. If others read ``f(M1 x)`` too, they read the new part by weights of zero.

A layer that is called twice, or shares its weights, stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import combinations

from attrs import frozen
from torch import fx

from kasmina.growth.export import linear
from kasmina.growth.export.graph import erase, is_sum, own_layer, replace, source
from kasmina.growth.export.linear import Geometry, Layer
from kasmina.growth.export.normalize import activation, tidy


def fold(module: fx.GraphModule) -> fx.GraphModule:
    """Return a folded copy of `module`, which must be in evaluation mode and stays as it is."""
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
    """A tree of additions, of which only the root is read from outside, and its terms."""

    adds: tuple[fx.Node, ...]
    terms: tuple[fx.Node, ...]

    def without(self, term: fx.Node) -> None:
        """Remove one term from the graph."""
        add = next(add for add in self.adds if term in add.args)
        left = [part for part in add.args if part is not term]
        replace(add, left[0])  # type: ignore[arg-type]


def sums(module: fx.GraphModule) -> list[Sum]:
    """Return all sums of the graph, each with all of its terms."""
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
    return any(_absorb_into(term, sum) for sum in sums(module) for term in sum.terms)


def _absorb_into(main: fx.Node, sum: Sum) -> bool:
    """Add to the weights of one term all other terms that are linear in its input."""
    layer = own_layer(main)
    if layer is None or len(set(sum.terms)) < len(sum.terms):
        return False
    others: dict[fx.Node, Layer | None] = {}
    read = set(sum.adds)
    for term in sum.terms:
        path = None if term is main else _path(term, source(main))
        if path is None:
            continue
        product = _product(path)
        if (product is not None or not path) and linear.total(layer, [product]) is not None:
            others[term] = product
            read.update(path)
    total = linear.total(layer, list(others.values()))
    if not others or total is None or not set(main.users) <= read:
        return False
    _set(main, total)
    for term in others:
        _sum_of(main).without(term)  # every removal makes the sum another one
    return True


def _path(node: fx.Node, base: fx.Node) -> list[fx.Node] | None:
    """Return the layers from `node` back to `base`, the last one first; None if anything else stands between."""
    path = []
    while node is not base:
        if own_layer(node) is None:
            return None
        path.append(node)
        node = source(node)
    return path


def _product(path: Sequence[fx.Node]) -> Layer | None:
    result: Layer | None = None
    for number, node in enumerate(reversed(path)):
        layer = _layer(node)
        result = layer if number == 0 else None if result is None else linear.product(layer, result)
    return result


def _sum_of(term: fx.Node) -> Sum:
    root = next(user for user in term.users if is_sum(user))
    while _within(root):
        root = next(iter(root.users))
    return _sum(root)


# -- side by side ------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class Branch:
    """A term of a sum of the form ``later(between(earlier(x)))``."""

    later: fx.Node
    between: fx.Node | None
    earlier: fx.Node
    key: tuple[fx.Node, str, Geometry, Geometry]
    """Properties that branches must share to be merged: x, the activation, and the geometry of both layers."""

    @property
    def hidden(self) -> fx.Node:
        """Node that the later layer reads."""
        return self.between or self.earlier

    @property
    def alone(self) -> bool:
        """Whether nothing outside the branch reads its inner nodes."""
        return len(self.hidden.users) == len(self.earlier.users) == len(self.later.users) == 1

    @property
    def extensible(self) -> bool:
        """Whether every outside reader of the inner nodes could read more features, by weights of zero."""
        inner = self.between is None or len(self.earlier.users) == 1
        return inner and len(self.later.users) == 1 and all(own_layer(user) is not None for user in self.hidden.users)


def _branch(term: fx.Node) -> Branch | None:
    later = own_layer(term)
    if later is None:
        return None
    node = source(term)
    name = activation(node)
    between = node if name is not None else None
    earlier = source(node) if between is not None else node
    layer = own_layer(earlier)
    if layer is None:
        return None
    key = source(earlier), name or "", linear.geometry(layer), linear.geometry(later)
    return Branch(term, between, earlier, key)


def _merge(module: fx.GraphModule) -> bool:
    for sum in sums(module):
        branches = [branch for branch in map(_branch, sum.terms) if branch is not None]
        for first, second in combinations(branches, 2):
            if first.key == second.key and first.extensible and second.alone:
                _widen(first, second)
                sum.without(second.later)
                return True
    return False


def _widen(branch: Branch, by: Branch) -> None:
    earlier, later = _layer(by.earlier), _layer(by.later)
    for node in list(branch.hidden.users):
        more = later if node is branch.later else linear.silent(_layer(node), later)
        _set(node, linear.abreast([_layer(node), more]))
    _set(branch.earlier, linear.stacked([_layer(branch.earlier), earlier]))


def _layer(node: fx.Node) -> Layer:
    layer = own_layer(node)
    assert layer is not None
    return layer


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
