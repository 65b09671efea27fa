"""YAML in which 1e-3 is a number, as in YAML 1.2 and in everybody's mind, though not in YAML 1.1."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

import yaml

from kasmina.plugins.phrases import one_line

FLOAT = ("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


MOST = 200_000
"""Values in a file of options."""


class _Loader(yaml.SafeLoader):
    pass


class _Dumper(yaml.SafeDumper):
    """Puts text that looks like a number into quotes."""


_Loader.add_implicit_resolver(*FLOAT)
_Dumper.add_implicit_resolver(*FLOAT)


def load(text: str) -> Any:
    """Plain values from YAML.

    Raises:
        yaml.YAMLError: it is none, or aliases make it larger than anybody means.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except Exception as error:  # the library lets many pass: of 2001-99-99, !!bool x, a thousand brackets
        raise yaml.YAMLError(one_line(error)) from error


def _weigh(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values `node` holds if each alias is written out; one within itself has no end.

    Raises:
        yaml.YAMLError: too many; whoever shows, merges or writes them would fill the memory.
    """
    if id(node) not in known:
        known[id(node)] = float("inf")
        inner = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        parts = [] if isinstance(node, yaml.ScalarNode) else inner
        known[id(node)] = 1 + sum(_weigh(part, known) for part in parts)
    if known[id(node)] > MOST:
        raise yaml.YAMLError(f"with its aliases written out it has more than {MOST} values")
    return known[id(node)]


def dump(plain: Any) -> bytes:
    """Plain values, mappings in their order, as YAML."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False).encode()
