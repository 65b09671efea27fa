"""YAML in which 1e-3 is a number, as in YAML 1.2 and in everybody's mind, though not in YAML 1.1."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, SequenceNode

FLOAT = ("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


LONGEST = 1 << 18
"""Characters; more would keep the parser busy for long, and options take some hundred lines."""

DEEPEST = 64
"""Levels of lists and mappings, aliases followed."""

MOST = 100_000
"""Values, each counted as often as aliases repeat it: nine lists of nine aliases each are a billion."""

WIDEST = 1023
"""Bits of a whole number; a larger one is no float, and one much larger cannot even be printed."""


class _Loader(yaml.SafeLoader):
    """Says where a value stands that is not what its tag or its looks promise; PyYAML raises Python's own errors."""

    level = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.level >= DEEPEST:  # here already: the scanner's time grows with the square of the depth
            raise _too_deep()
        self.level += 1
        node: Node | None = super().compose_node(parent, index)
        self.level -= 1
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            word = str(node.value)[:40]
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"{word!r} is no {kind}", node.start_mark) from error
        if type(value) is int and value.bit_length() > WIDEST:
            raise ConstructorError(None, None, f"a whole number has more than {WIDEST} bits", node.start_mark)
        return value


class _Dumper(yaml.SafeDumper):
    """Puts text that looks like a number into quotes."""


_Loader.add_implicit_resolver(*FLOAT)
_Dumper.add_implicit_resolver(*FLOAT)


def load(text: str) -> Any:
    """Plain values from YAML.

    Raises:
        yaml.YAMLError: it is none, or too long, too deep or too large to be options.
    """
    if len(text) > LONGEST:
        raise yaml.YAMLError(f"it has {len(text)} characters, and options take {LONGEST} at most")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, set())
        return loader.construct_document(node)
    except RecursionError:
        raise _too_deep() from None
    except (ValueError, OverflowError) as error:  # of its scanner, which takes any digits of an escape for a letter
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()


def dump(plain: Any) -> bytes:
    """Plain values, mappings in their order, as YAML."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False).encode()


def _measure(node: Node, known: dict[int, tuple[int, int]], above: set[int]) -> tuple[int, int]:
    """How many values `node` is, aliases followed, and how many levels; refuses what is too much of either.

    Args:
        known: what was measured, by the node's id; an alias is the same node again.
        above: ids of the nodes around this one.
    """
    if id(node) in above:
        raise ComposerError(None, None, "an alias stands within what it names", node.start_mark)
    if id(node) in known:
        return known[id(node)]
    inner = [_measure(part, known, above | {id(node)}) for part in _parts(node)]
    size, levels = 1 + sum(size for size, _ in inner), 1 + max((levels for _, levels in inner), default=0)
    if size > MOST:
        raise ComposerError(None, None, f"with its aliases written out it has more than {MOST} values", node.start_mark)
    if levels > DEEPEST:
        raise _too_deep()
    known[id(node)] = size, levels
    return size, levels


def _parts(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _too_deep() -> yaml.YAMLError:
    return yaml.YAMLError(f"it is nested deeper than {DEEPEST} levels")
