"""YAML in which 1e-3 is a number, as in YAML 1.2 and in everybody's mind, though not in YAML 1.1."""

from __future__ import annotations

import re
from typing import Any

import yaml

FLOAT = ("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


class _Loader(yaml.SafeLoader):
    pass


class _Dumper(yaml.SafeDumper):
    """Puts text that looks like a number into quotes."""


_Loader.add_implicit_resolver(*FLOAT)
_Dumper.add_implicit_resolver(*FLOAT)


def load(text: str) -> Any:
    """Plain values from YAML.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, _Loader)


def dump(plain: Any) -> bytes:
    """Plain values, mappings in their order, as YAML."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False).encode()
