"""No command tries to reach anything outside of this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from offline import offline, outside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="networks of one's own are Linux's")

KASMINA = str(Path(sys.executable).parent / "kasmina")
RUN = ["run", "--epochs", "12", "--controller", "always", "--device", "cpu"]
COMMANDS = [
    ["--help"],
    ["plugins"],
    ["plugins", "show", "bottleneck"],
    [*RUN, "--out", "first"],
    [*RUN, "--out", "second", "--profile"],
    ["run", "--resume", "stopped"],
    ["evaluate", "first"],
    ["export", "first"],
    ["compare", "--epochs", "3", "--repeat", "1", "--controllers", "never", "--device", "cpu"],
    ["new", "blueprint", "sine"],
    ["check", "blueprint", "bottleneck"],
]
"""In their order, in one folder."""


def stop(run: Path, to: Path) -> None:
    """A copy of a run that is finished, as if it had been killed in its last epoch."""
    shutil.copytree(run, to)
    (to / "summary.json").unlink()
    newest = max((to / "checkpoints").glob("*.json"))
    for path in (newest, newest.with_suffix(".safetensors")):
        path.unlink()


def test_no_command_tries_to_reach_anybody(tmp_path: Path) -> None:
    for words in COMMANDS:
        if "stopped" in words:
            stop(tmp_path / "first", tmp_path / "stopped")
        done = offline([KASMINA, *words], tmp_path)
        assert (done.status, done.tried) == (0, ()), f"kasmina {' '.join(words)}: {done}"
    assert (tmp_path / "stopped" / "summary.json").is_file() and (tmp_path / "second" / "profile").is_dir()


# -- that it would be seen ---------------------------------------------------------------------------------------------

SAYS = "import socket, sys\ntry: {}\nexcept OSError: pass"
PYTHON = {
    "connects": ("socket.create_connection(('192.0.2.1', 80), 5)", "192.0.2.1"),
    "connects-by-6": ("socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))", "2001:db8::1"),
    "sends": ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))", "192.0.2.1"),
    "asks": ("socket.getaddrinfo('telemetry.example', 443)", "telemetry.example"),
    "asks-in-bytes": ("socket.gethostbyname(b'telemetry.example')", "telemetry.example"),
}


@pytest.mark.parametrize("words, whom", PYTHON.values(), ids=PYTHON)
def test_who_tries_is_seen(tmp_path: Path, words: str, whom: str) -> None:
    done = offline([sys.executable, "-c", SAYS.format(words)], tmp_path)
    assert done.status == 0 and any(line.endswith(f" {whom}") for line in done.tried), done


def test_who_tries_in_another_language_is_seen(tmp_path: Path) -> None:
    done = offline(["bash", "-c", "echo > /dev/tcp/192.0.2.1/80; true"], tmp_path)
    assert done.status == 0 and done.tried == ("1 connections or packets found no route",), done


def test_a_child_that_outlives_its_parent_is_seen(tmp_path: Path) -> None:
    late = SAYS.format("__import__('time').sleep(0.3); socket.create_connection(('192.0.2.1', 80), 5)")
    starts = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {late!r}], start_new_session=True)"
    assert any("192.0.2.1" in line for line in offline([sys.executable, "-c", starts], tmp_path).tried)


def test_a_command_that_calls_home_is_seen(tmp_path: Path) -> None:
    """Through the whole of the command line."""
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kasmina.commands]\nhome = stranger:home\n")
    source = (
        "import click, urllib.request\n@click.command()\ndef home(): urllib.request.urlopen('https://home.example')"
    )
    (tmp_path / "stranger.py").write_text(source)
    done = offline([KASMINA, "home"], tmp_path, path=[tmp_path])
    assert done.status == 1 and any(
        "kasmina home: socket.getaddrinfo home.example" in line for line in done.tried
    ), done


def test_this_machine_is_not_outside(tmp_path: Path) -> None:
    serves = "a = socket.create_server(('127.0.0.1', 0)); socket.create_connection(('localhost', a.getsockname()[1]))"
    done = offline([sys.executable, "-c", f"import socket\n{serves}\nsocket.socketpair()"], tmp_path)
    assert (done.status, done.tried) == (0, ())


@pytest.mark.parametrize(
    ("whom", "is_outside"),
    [
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", False),
        ("10.0.0.1", True),
        ("fe80::1%eth0", True),
        ("localhost.example", True),
        ("8.8.8.8", True),
    ],
)
def test_what_is_outside(whom: str, is_outside: bool) -> None:
    assert outside(whom) == is_outside
