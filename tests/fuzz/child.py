"""One target under one engine for some seconds, in a process of its own; or one kept input again.

The tally so far stands in a file beside the one that the parent asked for, so that a process that dies leaves it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

Show = Callable[[bytes], None]


class Over(BaseException):
    """The time is."""


def begun(target: str) -> tuple[ModuleType, Path]:
    """The target, and a folder to work in; one input is done already, so that all is imported and every cache made."""
    module, folder = import_module(f"targets.{target}"), Path(tempfile.mkdtemp(prefix="kasmina-fuzz-")).resolve()
    os.chdir(folder)
    module.prepare()
    module.check(module.corpus()[0], folder)
    return module, folder


def main(target: str, engine: str, seconds: float, out: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    if engine == "atheris":
        import atheris

        # Not torch, numpy and pyarrow: what is ours, and what reads text for us.
        with atheris.instrument_imports(include=["kasmina", "yaml", "csv", "importlib.metadata"]):
            module, folder = begun(target)
    else:
        module, folder = begun(target)
    from watch import Tally, confine, outcome

    confine(folder)
    tally, began, told = Tally(), time.monotonic(), 0.0

    def tell() -> None:
        parts = {"inputs": tally.inputs, "accepted": tally.accepted, "refusals": sorted(tally.refusals)}
        finds = [
            {"kind": find.kind, "key": key, "story": find.story, "input": tally.examples[key].hex()}
            for key, find in tally.finds.items()
        ]
        parts |= {"finds": finds, "seconds": time.monotonic() - began}
        out.with_suffix(".part").write_text(json.dumps(parts))
        out.with_suffix(".part").replace(out)

    def show(data: bytes) -> None:
        nonlocal told
        out.with_suffix(".input").write_bytes(data)  # what the process may die of
        before = set(tally.finds)
        tally.count(data, outcome(lambda data: module.check(data, folder), data))
        now = time.monotonic()
        if now - told > 2 or set(tally.finds) != before:
            told = now
            tell()
        if now - began > seconds:
            tell()
            raise Over

    try:
        ENGINES[engine](module, show, out)
    except Over:
        pass
    sys.stdout.flush()
    os._exit(0)  # atheris would go on to its own end


def _hypothesis(module: object, show: Show, out: Path) -> None:
    """Inputs made by their structure; in rounds, because one of a million examples grows slow."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    for data in module.corpus():
        show(data)
    number = random.SystemRandom().getrandbits(32)
    while True:
        number += 1

        @seed(number)
        @settings(
            max_examples=300,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(module.STRATEGY)
        def some(data: bytes) -> None:
            show(data)

        some()


def _atheris(module: object, show: Show, out: Path) -> None:
    """Bytes that mutate where they reach new lines, from good files on."""
    import atheris

    corpus = out.with_suffix(".corpus")
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(module.corpus()):
        (corpus / f"{number:04}").write_bytes(data)

    def one(data: bytes) -> None:
        try:
            show(data)
        except Over:
            sys.stdout.flush()
            os._exit(0)

    atheris.Setup([sys.argv[0], "-rss_limit_mb=0", "-timeout=60", "-max_len=20000", "-verbosity=0", str(corpus)], one)
    atheris.Fuzz()


ENGINES = {"hypothesis": _hypothesis, "atheris": _atheris}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]).absolute())
