"""YAML in which 1e-3 is a number, as in YAML 1.2, though not in YAML 1.1; without anchors and aliases."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.nodes import Node

FLOAT = ("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))
"""Tag, pattern and first characters of the numbers that YAML 1.1 takes for text."""

LONGEST = 1 << 18
"""Number of characters above which a text is refused: the parser would be busy for long."""

DEEPEST = 64
"""Number of levels of lists and mappings above which a text is refused."""

WIDEST = 1023
"""Number of bits above which a whole number is refused: it has no float, and a much longer one cannot be printed."""


class _Loader(yaml.SafeLoader):
    """Loader that says where a value stands that does not fit its tag; PyYAML raises Python's own errors there."""

    level = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:  # nine lists of nine aliases each are a billion values
            raise ComposerError(None, None, "anchors (&) and aliases (*) are refused: write it out", event.start_mark)
        if self.level >= DEEPEST:  # checked here because the scanner's time grows with the square of the depth
            raise yaml.YAMLError(f"it is nested deeper than {DEEPEST} levels")
        self.level += 1
        node: Node | None = super().compose_node(parent, index)
        self.level -= 1
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:
            word = str(node.value)[:40]
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"{word!r} is no {kind}", node.start_mark) from error
        if type(value) is int and value.bit_length() > WIDEST:
            raise ConstructorError(None, None, f"a whole number has more than {WIDEST} bits", node.start_mark)
        return value


class _Dumper(yaml.SafeDumper):
    """Dumper that puts text which looks like a number into quotes, and writes each value out where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Loader.add_implicit_resolver(*FLOAT)
_Dumper.add_implicit_resolver(*FLOAT)


def load(text: str) -> Any:
    """Return the plain values that a YAML text holds.

    Raises:
        yaml.YAMLError: the text is not YAML, has an anchor or an alias, or is too long or too deep for options.
    """
    if len(text) > LONGEST:
        raise yaml.YAMLError(f"it has {len(text)} characters, and options take {LONGEST} at most")
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    except (ValueError, OverflowError) as error:  # of its scanner, which takes any digits of an escape for a letter
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()


def dump(plain: Any) -> bytes:
    """Return plain values as YAML, mappings in their order."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False).encode()
