"""Code that a file names is run if the user has typed it, now or when the file was made, and else on --trust alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from kasmina.cli.main import main
from kasmina.errors import UsageError
from kasmina.run import trust
from kasmina.run.options.config import configure
from kasmina.run.restore import restore

NUMBER = count()
NAMED = {"controller": "none", "blueprint": "none"}

CODE = """
from pathlib import Path

import numpy as np
from torch import nn

import kasmina

Path("imported").touch()

def lines(rows=200):
    x = np.random.default_rng(0).normal(size=(rows, 3))
    return kasmina.Data(x.astype("float32"), (x @ [[1.0], [2], [3]]).astype("float32"), "regression")

def net(in_shape, outputs):
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, outputs))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's secret would lie; the working folder is empty."""
    folder = tmp_path / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder / "kasmina"


@pytest.fixture
def code(home: Path) -> str:
    """A module in the working folder, imported by no other test; importing it leaves a file behind."""
    name = f"own_trust_{next(NUMBER)}"
    Path(f"{name}.py").write_text(CODE)
    return name


def run(*words: str, out: str = "run") -> int:
    plugins = ["--blueprint", "bottleneck", "--controller", "never", "--no-logger", "rich"]
    return main(["run", "--epochs", "1", "--device", "cpu", "--out", out, *plugins, *words])


def own(code: str) -> list[str]:
    return ["--task", f"{code}:lines", "--host", f"{code}:net", "--site", "1"]


def refused(capfd: pytest.CaptureFixture[str], words: list[str], *parts: str) -> None:
    capfd.readouterr()
    Path("imported").unlink(missing_ok=True)
    assert main(words) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("kasmina: ") and error.count("\n") == 1, error
    assert [part for part in ("would run code", "--trust", *parts) if part not in error] == [], error
    assert not Path("imported").exists()


def removed(path: Path) -> Path:
    path.unlink()
    return path


def forget(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """As a fresh process would not know the module."""
    monkeypatch.delitem(__import__("sys").modules, code, raising=False)


def test_what_was_typed_is_trusted_ever_after(code: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*own(code)) == 0
    forget(monkeypatch, code)
    assert main(["evaluate", "run"]) == 0
    assert main(["export", "run"]) == 0
    assert run("--config", "run/config.yaml", out="again") == 0
    assert main(["evaluate", "again"]) == 0  # consent goes on to what is made with it
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600 and len((home / "secret").read_bytes()) == 32
    assert os.listdir(home) == ["secret"]


def test_a_run_without_own_code_touches_no_home_and_is_not_signed(home: Path) -> None:
    assert run("--task", "moons", "--host", "mlp") == 0
    assert main(["evaluate", "run"]) == 0
    assert not home.parent.exists() and not list(Path("run").glob("*.signature"))


WAYS = {
    "evaluate": ["evaluate", "run"],
    "export": ["export", "run"],
    "config": ["run", "--config", "run/config.yaml", "--out", "again"],
}
HARMS: dict[str, Callable[[Path, str], object]] = {
    "unsigned": lambda home, code: Path("run/config.yaml.signature").unlink(),
    "an empty signature": lambda home, code: Path("run/config.yaml.signature").write_bytes(b""),
    "a signature of another's": lambda home, code: (home / "secret").write_bytes(b"x" * 32),
    "no secret": lambda home, code: (home / "secret").unlink(),
    "half a secret": lambda home, code: (home / "secret").write_bytes(b"x"),
    "another word in config.yaml": lambda home, code: Path("run/config.yaml").write_text(
        Path("run/config.yaml").read_text().replace(f"{code}:net", f"{code}:lines")
    ),
    "another option in config.yaml": lambda home, code: Path("run/config.yaml").write_text(
        Path("run/config.yaml").read_text().replace("rows: 200", "rows: 201")
    ),
    "the signature is a pipe": lambda home, code: os.mkfifo(removed(Path("run/config.yaml.signature"))),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("harm", HARMS)
def test_what_the_user_has_not_signed_is_refused(
    code: str, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: str, harm: str
) -> None:
    assert run(*own(code)) == 0
    HARMS[harm](home, code)
    forget(monkeypatch, code)
    refused(capfd, WAYS[way], code, str(Path(f"{code}.py").absolute()))


@pytest.mark.parametrize("way", WAYS)
def test_trust_lets_it(code: str, home: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    assert run(*own(code)) == 0
    HARMS["unsigned"](home, code)
    assert main([*WAYS[way], "--trust"]) == 0
    assert (way != "config") or main(["evaluate", "again"]) == 0


def test_a_signed_folder_with_other_code_beside_it_is_refused(
    code: str, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*own(code)) == 0
    forget(monkeypatch, code)
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / f"{code}.py").write_text(CODE)
    Path("run").rename(tmp_path / "stranger" / "run")
    monkeypatch.chdir(tmp_path / "stranger")
    refused(capfd, ["evaluate", "run"], str(tmp_path / "stranger"))


def test_a_moved_folder_is_still_the_user_s_own(code: str, home: Path) -> None:
    assert run(*own(code)) == 0
    Path("run").rename("elsewhere")
    assert main(["evaluate", "elsewhere"]) == 0


@pytest.mark.parametrize("kind", ["task", "host"])
@pytest.mark.parametrize("word", ["subprocess:call", "os:system", "builtins:exec", "sys:exit", "__main__:x"])
def test_whatever_python_can_call_is_refused(
    home: Path, capfd: pytest.CaptureFixture[str], kind: str, word: str
) -> None:
    Path("config.yaml").write_text(f"{kind}: {{name: '{word}', args: [touch, imported]}}\n")
    refused(capfd, ["run", "--config", "config.yaml"], word)
    refused(capfd, ["evaluate", "."], word)


@pytest.mark.parametrize("form", ["{}", "{{name: {}}}"])
@pytest.mark.parametrize(
    "typed",
    [{"options": {"host": "os:abc"}}, {"sets": ["host=os:abc"]}, {"sets": ["host.name=os:abc"]}, {"trust": True}],
    ids=str,
)
def test_the_same_word_typed_beside_a_file_is_consent(tmp_path: Path, form: str, typed: dict[str, Any]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"host: {form.format('os:abc')}\ntask: none\n")
    assert configure(file, **(typed | {"options": NAMED | typed.get("options", {})})).host.name == "os:abc"
    with pytest.raises(UsageError, match="os:abc"):
        configure(file, NAMED, ["phases.adaptation.epochs=5", "seed=1"])


@pytest.mark.parametrize("typed", ["task=os:abc", "host=os:def", "host.name=os:def", "host.word=os:abc"])
def test_another_word_typed_is_none(tmp_path: Path, typed: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("host: os:abc\ntask: os:def\n")
    with pytest.raises(UsageError, match="would run code"):
        configure(file, NAMED, [typed])


def test_an_installed_plugin_by_its_full_name_is_no_code_of_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("host: kasmina-core:mlp\ntask: kasmina_core:moons\n")
    assert configure(file, NAMED).host.name == "kasmina-core:mlp"


def test_restore_asks_as_the_command_line_does(code: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*own(code)) == 0
    HARMS["unsigned"](home, code)
    with pytest.raises(UsageError, match="--trust"):
        restore(Path("run"))
    assert restore(Path("run"), trust=True).config.host.name == f"{code}:net"


@pytest.mark.parametrize("place", ["file/below", "relative"])
def test_without_a_home_nothing_is_signed_and_nothing_fails(
    code: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    place: str,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / place) if "/" in place else place)
    assert run(*own(code)) == 0
    assert not Path("run/config.yaml.signature").exists() and not Path("relative").exists()
    forget(monkeypatch, code)
    refused(capfd, ["evaluate", "run"])


def test_the_first_of_two_secrets_holds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trust._new_secret()
    assert trust._new_secret() == first == (home / "secret").read_bytes()
