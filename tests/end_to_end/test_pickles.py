"""No pickle is ever read: one that would run code stands in every file that Kasmina reads, and nothing runs."""

from __future__ import annotations

import ast
import base64
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import load_file, save

from kasmina.cli.main import main

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("kasmina-*/src/**/*.py"))

X = np.random.default_rng(0).normal(size=(200, 2))
Y = (X[:, 0] > 0).astype(np.int64)
CSV = "a,b,target\n" + "".join(f"{a},{b},{y}\n" for (a, b), y in zip(X, Y, strict=True))
MARK = "ran"


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, and the run of a network with a grown seed."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("data.csv").write_text(CSV)
        grows = ["--blueprint", "bottleneck", "--controller", "always", "--set", "controller.seeds=1"]
        task = ["--task", "file", "--set", "task.path=data.csv"]
        assert (
            main(["run", *task, *grows, "--epochs", "6", "--device", "cpu", "--no-logger", "rich", "--out", "run"]) == 0
        )
        summary = Path("run/summary.json")
        summary.write_text(summary.read_text().replace('"finished"', '"stopped"'))  # there is something to resume
    return folder


@pytest.fixture
def here(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the working folder; the run's data is that of the first."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(here: Path) -> bytes:
    """A pickle of which we have seen that it runs."""
    content = pickle.dumps(Payload(here / MARK))
    pickle.loads(content)
    (here / MARK).unlink()
    return content


WAYS = {
    "evaluate": ["evaluate", "run"],
    "export": ["export", "run"],
    "config": ["run", "--config", "run/config.yaml", "--out", "again"],
    "resume": ["run", "--resume", "run"],
}


def refused(capfd: pytest.CaptureFixture[str], words: list[str], allowed: tuple[int, ...] = (2,)) -> None:
    capfd.readouterr()
    status = main(words)
    out, error = capfd.readouterr()
    assert status in allowed, error
    if status:
        assert out == "" or out.startswith("preparing to ") and out.count("\n") == 1
        assert error.startswith("kasmina: ") and error.count("\n") == 1, error
    assert "Traceback" not in error and "unexpected:" not in error, error
    assert not Path(MARK).exists()


# -- a run's folder ----------------------------------------------------------------------------------------------------


def config_tag(load: bytes, text: str) -> bytes:
    return f"{text}\nseed: !!python/object/apply:os.mkdir [{Path(MARK).absolute()}]\n".encode()


def config_call(load: bytes, text: str) -> bytes:
    content = base64.b64encode(load).decode()
    return f"{text}\nseed: !!python/object/apply:pickle.loads [!!binary {content}]\n".encode()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("content", [config_tag, config_call, lambda load, text: load], ids=["tag", "call", "whole"])
def test_a_config(
    here: Path, load: bytes, capfd: pytest.CaptureFixture[str], way: str, content: Callable[[bytes, str], bytes]
) -> None:
    file = Path("run/config.yaml")
    file.write_bytes(content(load, file.read_text()))
    refused(capfd, WAYS[way])


READS = [way for way in WAYS if way != "config"]


@pytest.mark.parametrize("way", READS)
@pytest.mark.parametrize("kind", ["*.json", "*.safetensors"])
def test_checkpoints_that_are_pickles(
    here: Path, load: bytes, capfd: pytest.CaptureFixture[str], way: str, kind: str
) -> None:
    files = list(Path("run/checkpoints").glob(kind))
    assert files
    for file in files:
        file.write_bytes(load)
    refused(capfd, WAYS[way])


@pytest.mark.parametrize("way", READS)
def test_checkpoints_with_pickles_for_values(
    here: Path, load: bytes, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    for file in Path("run/checkpoints").glob("*.json"):
        record = json.loads(file.read_text())
        file.write_text(json.dumps(dict.fromkeys(record, load.decode("latin-1")) | {"format": record["format"]}))
    refused(capfd, WAYS[way])


@pytest.mark.parametrize("way", READS)
def test_tensors_and_metadata_with_pickles_in_them(
    here: Path, load: bytes, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    for file in Path("run/checkpoints").glob("*.safetensors"):
        tensors = load_file(file)
        planted = {name: np.frombuffer(load, np.uint8) for name in tensors}
        file.write_bytes(save(planted, {"pickle": load.decode("latin-1"), "__reduce__": load.decode("latin-1")}))
    refused(capfd, WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_what_else_lies_in_the_folder(here: Path, load: bytes, capfd: pytest.CaptureFixture[str], way: str) -> None:
    for name in ("summary.json", "metrics.jsonl", "events.jsonl"):
        Path("run", name).write_bytes(load)
    for name in ("config.pkl", "config.yaml.signature", "checkpoints/last.pt", "checkpoints/last.bin", "model.pkl"):
        Path("run", name).write_bytes(load)
    refused(capfd, WAYS[way], (0, 2))


# -- a task's file -----------------------------------------------------------------------------------------------------


def arrays(**named: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in named.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def array(values: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values), allow_pickle=True)
    return file.getvalue()


def objects(mark: Path) -> np.ndarray[Any, Any]:
    values = np.empty(len(Y), object)
    values[:] = [Payload(mark) for _ in Y]
    return values


def table(load: bytes) -> bytes:
    """A field whose metadata says that a pickle describes its type, as pyarrow once believed."""
    told = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": load}
    fields = [pa.field("a", pa.float64(), metadata=told), pa.field("b", pa.binary()), pa.field("target", pa.int64())]
    schema = pa.schema(fields, metadata={b"pandas": load, b"pickle": load})
    file = io.BytesIO()
    parquet.write_table(pa.table([X[:, 0], [load] * len(X), Y], schema=schema), file)
    return file.getvalue()


FILES: dict[str, tuple[str, Callable[[bytes, Path], bytes]]] = {
    "csv": ("data.csv", lambda load, mark: load),
    "parquet": ("data.parquet", lambda load, mark: load),
    "npz": ("data.npz", lambda load, mark: load),
    "csv of pickles": ("data.csv", lambda load, mark: CSV.encode() + load),
    "parquet with pickles for types and values": ("data.parquet", lambda load, mark: table(load)),
    "npz with objects for x": ("data.npz", lambda load, mark: arrays(x=array(objects(mark)), y=array(Y))),
    "npz with objects for y": ("data.npz", lambda load, mark: arrays(x=array(X), y=array(objects(mark)))),
    "npz with pickles for arrays": ("data.npz", lambda load, mark: arrays(x=load, y=load)),
    "npy called npz": ("data.npz", lambda load, mark: array(objects(mark))),
}


@pytest.mark.parametrize("case", FILES)
def test_a_task_s_file(here: Path, load: bytes, capfd: pytest.CaptureFixture[str], case: str) -> None:
    name, content = FILES[case]
    Path(name).write_bytes(content(load, here / MARK))
    plain = ["--blueprint", "bottleneck", "--controller", "never", "--epochs", "1", "--out", "again"]
    refused(capfd, ["run", "--task", "file", "--set", f"task.path={name}", *plain])


# -- an export ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["torch", "pt2"])
def test_an_export_is_written_over_unread(
    here: Path, load: bytes, capfd: pytest.CaptureFixture[str], format: str
) -> None:
    for name in ("model.pt", "model.pt.json", "model.pt2", "model.pt2.json"):
        Path("run/exports").mkdir(exist_ok=True)
        Path("run/exports", name).write_bytes(load)
    refused(capfd, ["export", "run", "--format", format], (0,))


# -- the sources -------------------------------------------------------------------------------------------------------

MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "jsonpickle"}
"""Read with any of them, a file may run code; what only needs to write has other means."""
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "torch.jit.load",
    "torch.export.load",
    "torch.package.PackageImporter",
    "torch.hub.load",
    "numpy.fromfile",
    "pandas.read_pickle",
    "yaml.full_load",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
    "os.system",
    "os.popen",
}
OWN = {"scorer.py": ["torch.export.load"]}
"""Code that lies in a model of MLflow's and reads the program beside it: whoever changes that could change the code."""
LOADERS = {"yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader"}


def names(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {
                (a.asname or a.name.partition(".")[0]): (a.name if a.asname else a.name.partition(".")[0])
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{'.' * node.level}{node.module or ''}.{a.name}" for a in node.names}
    return found


def dotted(node: ast.AST, known: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def unsafe(source: str) -> Iterator[str]:
    """Whatever in a source could make code of a file's content."""
    tree = ast.parse(source)
    known = names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.partition(".")[0] in MODULES)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from {node.module} if node.module.partition(".")[0] in MODULES else ()
        if isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node, known)) in CALLS | LOADERS:
            yield name
        if isinstance(node, ast.Call):
            given = {word.arg: word.value for word in node.keywords}
            if "allow_pickle" in given and not (
                isinstance(v := given["allow_pickle"], ast.Constant) and v.value is False
            ):
                yield "allow_pickle"
            if dotted(node.func, known) == "numpy.load" and "allow_pickle" not in given:
                yield "numpy.load without a word on pickles"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_can_make_code_of_a_file(file: Path) -> None:
    assert list(unsafe(file.read_text())) == OWN.get(file.name, [])


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch.serialization as s, dill",
        "def f():\n    from joblib import load",
        "import torch\ntorch.load('x')",
        "import torch as t\nread = t.load",
        "from torch import load\nload('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=flag)",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "from yaml import UnsafeLoader\nclass L(UnsafeLoader): pass",
        "exec('x')",
        "eval('x')",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(unsafe(source))


def test_the_search_sees_all_four_distributions() -> None:
    assert {file.relative_to(ROOT).parts[0] for file in SOURCES} == {
        f"kasmina-{part}" for part in ("core", "blueprints", "controllers", "loggers")
    }
