"""Real environments without Kasmina, in which exported files are run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# What a person would write who was given the file and nothing else.
LOADERS = {
    "torch": "import torch\nrun = torch.load(FILE, weights_only=False)",
    "pt2": "import torch\nrun = torch.export.load(FILE).module()",
    "onnx": "import onnxruntime\nrun = lambda x: onnxruntime.InferenceSession(FILE).run(None, {'x': x})[0]",
}
SCRIPT = """
import sys, numpy
FILE, data, results = sys.argv[1:]
{loader}
x = numpy.load(data)
parts = [x, x[:1], x[:5]]
if "torch" in sys.modules:
    parts = [run(torch.from_numpy(part)).detach().numpy() for part in parts]
else:
    parts = [run(part) for part in parts]
assert not [name for name in sys.modules if name.startswith("kasmina")]
numpy.savez(results, *parts)
"""


def environment(folder: Path, *packages: str) -> Path:
    """Make an environment with these packages alone, once for all processes of the tests; return its Python."""
    python, whole = folder / "bin" / "python", folder.with_suffix(".whole")
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not whole.exists():
            _make(folder, *packages)
            whole.touch()
    return python


def _make(folder: Path, *packages: str) -> None:
    uv = [sys.executable, "-m", "uv"]
    settings = {"UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")} | dict(os.environ)
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True, env=settings)
    python = folder / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *packages], check=True, env=settings)


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By format: a Python that has what the format needs, and nothing of Kasmina's."""
    base = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have folders of their own in a common one.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "environments"
    alone = environment(folder / "torch", "torch==2.13.0", "numpy")
    return {"torch": alone, "pt2": alone, "onnx": environment(folder / "onnx", "onnxruntime", "numpy")}


@pytest.fixture
def abroad(pythons: dict[str, Path], tmp_path: Path) -> Callable[[str, Path, Path], Path]:
    """Runs a file on samples there, on all, on one and on five of them; gives the outputs as .npz."""

    def run(format: str, file: Path, samples: Path) -> Path:
        script, results = tmp_path / f"{format}.py", tmp_path / f"{file.name}.npz"
        script.write_text(SCRIPT.format(loader=LOADERS[format]))
        done = subprocess.run(
            [pythons[format], "-I", script, file, samples, results], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return results

    return run
