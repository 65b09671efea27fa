"""A file for --config and words for --set, up to a run that is ready to begin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from targets import trees

SET = b"--set "
"""A line that begins so is a word of the command line and not of the file."""

SMALL = {"epochs": 1}
TREE: dict[str, Any] = {
    "task": {"name": "spirals", "samples": 200, "noise": 0.1, "seed": 0},
    "host": {"name": "mlp", "hidden": 3, "depth": 1},
    "controller": {"name": "heuristic"},
    "blueprint": {"name": "bottleneck", "hidden": "~"},
    "alternatives": {"lora": {}},
    "loggers": {"rich": False, "jsonl": {}},
    "phases": {"warm-up": {"epochs": 1, "germinate": False}, "adaptation": {"epochs": 2, "decay": "cosine"}},
    "sites": ["'layers.0:layers.1'"],
    "seed": 0,
    "split_seed": 0,
    "device": "cpu",
    "batch": 16,
    "learning_rate": 0.02,
    "weight_decay": 0.02,
    "growth": {},
}
OTHERS: dict[str, dict[str, dict[str, Any]]] = {}
"""Every installed host, task and blueprint with its options."""


def prepare() -> None:
    """Imports, once, what the check needs; and leaves out code of a user's own, which a file may name."""
    import attrs

    import kasmina.plugins.catalog as catalog
    import kasmina.run.plugin_set as plugins
    from kasmina.errors import UsageError
    from kasmina.growth.recipe import Recipe
    from kasmina.plugins.catalog import entries
    from kasmina.plugins.drivers import load
    from kasmina.run.assembly import assemble  # noqa: F401  torch, before the memory is counted

    def refuse(*_: object) -> None:
        raise UsageError("code of a user's own is not fuzzed")

    plugins.load_user_callable = refuse
    known = list(catalog.installed())  # read from the disk once, and not ten times an input
    catalog.installed = lambda: iter(known)
    TREE["growth"] = {field.name: "~" for field in attrs.fields(Recipe)}
    for entry in entries():
        if entry.kind in ("host", "task", "blueprint", "controller", "logger"):
            named = {field.alias: str(field.default) for field in attrs.fields(load(entry)) if field.init}
            OTHERS.setdefault(entry.kind, {})[entry.name] = {
                key: value for key, value in named.items() if value.replace(".", "").isalnum() and value != "None"
            }


def corpus() -> list[bytes]:
    good = {**TREE, "growth": {}}
    others = [
        {**good, kind: {"name": name, **options}}
        for kind, named in OTHERS.items()
        if kind not in ("logger",)
        for name, options in named.items()
    ]
    lines = ["task: spirals\nhost: mlp\n--set host.hidden=8\n", "loggers: [rich]\n", "--set phases.warm-up.epochs=2\n"]
    snippets = [f"host: {{hidden: {snippet}}}\n" for snippet in trees.SNIPPETS]
    return [trees.text(tree).encode() for tree in (good, *others)] + [line.encode("utf-8") for line in lines + snippets]


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    tree = trees.copied(TREE) | {"growth": {}}
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["host", "task", "blueprint", "controller"]))
        name = draw(st.sampled_from(sorted(OTHERS[kind])))
        tree[kind] = {"name": name, **OTHERS[kind][name]}
    if draw(st.integers(0, 3)) == 0:
        tree["growth"] = {draw(st.sampled_from(sorted(TREE["growth"]))): draw(trees.words())}
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(OTHERS["logger"])))
        tree["loggers"] = {name: {key: draw(trees.words()) for key in OTHERS["logger"][name]}}
    for key in draw(st.sets(st.sampled_from(sorted(tree)), max_size=6)):
        del tree[key]
    if tree and draw(st.integers(0, 9)):
        tree = draw(trees.mutated(tree))
    sets = draw(
        st.lists(st.tuples(st.sampled_from([".".join(path) for path in trees.places(TREE)]), trees.words()), max_size=2)
    )
    said = "".join(f"\n--set {path}={word}" for path, word in sets if "\n" not in word)
    return (trees.text(tree) + said).encode("utf-8", "surrogatepass")


STRATEGY = st.one_of(
    _files(),
    st.tuples(st.sampled_from(["", "host: ", "sites: ", "phases: ", "loggers: ", "a: "]), trees.words()).map(
        lambda pair: "".join(pair).encode("utf-8", "surrogatepass")
    ),
    st.binary(max_size=200),
)


def split(data: bytes) -> tuple[bytes, list[str]]:
    """The file's content, and the words for --set."""
    lines = data.split(b"\n")
    said = [line.removeprefix(SET).decode("utf-8", "replace") for line in lines if line.startswith(SET)]
    return b"\n".join(line for line in lines if not line.startswith(SET)), said


def check(data: bytes, folder: Path) -> None:
    from kasmina.run.assembly import assemble
    from kasmina.run.folder import Folder
    from kasmina.run.options.config import configure
    from kasmina.run.plugin_set import PluginSet

    content, sets = split(data)
    file, run = folder / "config.yaml", folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    file.write_bytes(content)
    config = configure(file, None, sets)
    plugins = PluginSet.of(config)
    assemble(config, plugins, Folder.new(run, plugins.entries["task"].name), lambda message: None)
