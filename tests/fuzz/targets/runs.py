"""A run's folder that somebody has changed, as `restore` and `--resume` read it.

The first byte says which file is replaced; the rest is its new content. Beyond the files, the state of a checkpoint is
replaced, and its digest made anew, as one would who means harm.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from targets import config as configs
from targets import trees

FILES: list[str] = []
"""Of a run, below its folder."""

RUN: dict[str, bytes] = {}
STATE: list[str] = []
"""The folder-relative name of the newest checkpoint's JSON."""


def prepare() -> None:
    """Trains one small run, which all inputs damage."""
    import tempfile

    import kasmina.run.experiment as experiment
    from kasmina.run.options.config import configure

    configs.prepare()
    out = Path(tempfile.mkdtemp(prefix="kasmina-fuzz-")) / "run"
    sets = ["task.samples=200", "controller.epochs=[1]", "phases.warm-up.epochs=1", "phases.adaptation.epochs=3"]
    said = {"controller": "schedule", "blueprint": "bottleneck", "loggers": {"rich": False}, "device": "cpu"}
    experiment.run_experiment(
        configure(None, said, [*sets, "phases.consolidation.epochs=1"]), out, lambda message: None
    )
    # What comes after a run has been taken up is training, which takes its time.
    experiment.conduct = lambda *_: {}
    for file in sorted(out.rglob("*")):
        if file.is_file():
            RUN[str(file.relative_to(out))] = file.read_bytes()
    FILES.extend(sorted(RUN))
    STATE.extend([name for name in FILES if name.startswith("checkpoints/") and name.endswith(".json")][-1:])


def corpus() -> list[bytes]:
    plain = [bytes([number]) + RUN[name] for number, name in enumerate(FILES)]
    empty = [bytes([number]) for number in range(len(FILES))]
    return [*plain, *empty, *(bytes([255]) + RUN[name] for name in STATE)]


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        [2**63, 10**400, [], {}, [[]], {"a": 1}, "../../x", "\0", "training", "active", "layers.0", -1, 0, 1]
    ),
)


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path] * bool(path) + [place for key, item in items for place in _paths(item, (*path, key))]


@st.composite
def _states(draw: st.DrawFn) -> bytes:
    """A checkpoint's JSON with some values replaced, removed or added."""
    record = json.loads(RUN[STATE[0]])
    for _ in range(draw(st.integers(1, 3))):
        known = _paths(record)
        if not known:
            break
        *parents, last = draw(st.sampled_from(known))
        place = record
        for key in parents:
            place = place[key]
        match draw(st.integers(0, 5)):
            case 0:
                del place[last]
            case 1 if isinstance(place, dict):
                place[draw(st.sampled_from(["x", "", "\0", "stage", "tensor"]))] = draw(_VALUES)
            case 2:
                other = draw(st.sampled_from(known))
                value: Any = record
                try:
                    for key in other:
                        value = value[key]
                except (KeyError, IndexError, TypeError):
                    value = None
                place[last] = json.loads(json.dumps(value))
            case _:
                place[last] = draw(_VALUES)
    return bytes([255]) + json.dumps(record).encode()


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    number = draw(st.integers(0, len(FILES) - 1))
    data = bytearray(RUN[FILES[number]])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                del data[place:]
            case 1:
                del data[place : place + draw(st.integers(1, 50))]
            case 2:
                data[place:place] = draw(st.binary(max_size=8))
            case _:
                data[place : place + 1] = bytes([draw(st.integers(0, 255))])
    return bytes([number]) + bytes(data)


@st.composite
def _options(draw: st.DrawFn) -> bytes:
    """The run's config.yaml with any value replaced."""
    from kasmina.run.options import yaml

    tree = yaml.load(RUN["config.yaml"].decode())
    plain = json.loads(json.dumps(tree), parse_int=str, parse_float=str)
    quoted = _quoted(plain)
    return bytes([FILES.index("config.yaml")]) + trees.text(draw(trees.mutated(quoted))).encode(
        "utf-8", "surrogatepass"
    )


def _quoted(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _quoted(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_quoted(item) for item in tree]
    return tree if not isinstance(tree, str) or tree.replace(".", "").isdigit() else f"'{tree}'"


STRATEGY = st.one_of(st.deferred(_states), st.deferred(_states), st.deferred(_files), st.deferred(_options))


def check(data: bytes, folder: Path) -> None:
    import kasmina.run.experiment as experiment
    from kasmina.run.restore import restore

    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    for name, content in RUN.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    number, content = (data[0], data[1:]) if data else (0, b"")
    if number < len(FILES):
        (run / FILES[number]).write_bytes(content)
    else:
        for name in RUN:  # the only one left, lest an earlier one be taken
            if name.startswith("checkpoints/") and Path(name).stem != Path(STATE[0]).stem:
                (run / name).unlink()
        (run / STATE[0]).write_bytes(_honest(content))
    if len(data) % 2:
        (run / "summary.json").unlink(missing_ok=True)  # of a finished run nothing is taken up
        experiment.resume_experiment(run, lambda message: None)
    else:
        restore(run, warn=lambda message: None)


def _honest(content: bytes) -> bytes:
    """The same with a digest that fits, if it is of a shape that can have one."""
    try:
        record = json.loads(content)
        record.pop("digest", None)
        rest = {key: value for key, value in record.items() if key != "format"}
        text = json.dumps({"format": record["format"], **rest}).encode("ascii")
        return json.dumps({"digest": hashlib.sha256(text).hexdigest(), **record}).encode("ascii")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return content
