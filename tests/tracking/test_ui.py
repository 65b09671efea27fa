"""The pages over the runs at hand: they answer, they end together, and a death is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from shipped import Process, ask, kasmina
from tracked import until

from kasmina.cli.main import main
from kasmina.errors import KasminaError
from kasmina_loggers.commands.page_server import Page, endings, free_port, show


def children(process: subprocess.Popen[bytes]) -> dict[str, int]:
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return {line.split(None, 1)[1]: int(line.split()[0]) for line in listed.stdout.splitlines()}


def is_free(port: int | None) -> bool:
    assert port
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Process]:
    """A running `kasmina ui`; its wanted ports are taken already."""
    (tmp_path / "runs").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [taken.getsockname()[1] for taken in (one, other)]
        words = ["ui", "--port-tensorboard", str(ports[0]), "--port-mlflow", str(ports[1])]
        process = Process(kasmina(*words), tmp_path)
        try:
            yield process
        finally:
            process.end(signal.SIGTERM)


def addresses(said: str) -> dict[str, str]:
    return dict(line.split() for line in said.splitlines()[:2])


def test_both_answer_and_both_end(pages: Process) -> None:
    found = addresses(pages.says("Ctrl-C ends both"))
    assert [*found] == ["TensorBoard", "MLflow"]
    assert b"TensorBoard" in ask(found["TensorBoard"]).body
    assert b"<title>MLflow</title>" in ask(found["MLflow"]).body
    said = pages.text
    assert pages.end(signal.SIGINT) == 0
    assert pages.text == said
    for address in found.values():
        assert is_free(urlsplit(address).port)


SHOWS = """
import signal, sys
from contextlib import nullcontext
from kasmina_loggers.commands.page_server import HOST, Page, show
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # though the tests may have been begun by nohup
page = Page("Files", [sys.executable, "-m", "http.server", sys.argv[1], "--bind", HOST], int(sys.argv[1]))
show([page], print, lambda what: nullcontext())
"""


@pytest.fixture
def shows(tmp_path: Path) -> Iterator[tuple[Process, int]]:
    """A process in which `show` runs over a server of files, and the server's port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = Process([sys.executable, "-c", SHOWS, str(port)], tmp_path)
    try:
        process.says("Ctrl-C ends both")
        assert not is_free(port)
        yield process, port
    finally:
        process.end(signal.SIGTERM)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_terminal_that_is_closed_leaves_no_server_behind(name: str, shows: tuple[Process, int]) -> None:
    process, port = shows
    assert process.end(getattr(signal, name)) == 0
    assert is_free(port)


@pytest.mark.parametrize(("disposition", "ends"), [(signal.SIG_IGN, False), (signal.SIG_DFL, True)])
def test_nohup_is_obeyed(disposition: signal.Handlers, ends: bool) -> None:
    before = signal.signal(signal.SIGHUP, disposition)
    try:
        assert (signal.SIGHUP in [*endings()]) is ends
    finally:
        signal.signal(signal.SIGHUP, before)


def test_if_one_dies_the_other_ends_and_it_is_told(pages: Process) -> None:
    found = addresses(pages.says("Ctrl-C ends both"))
    [victim] = [pid for command, pid in children(pages.process).items() if "tensorboard" in command]
    os.kill(victim, signal.SIGKILL)
    until(lambda: pages.process.poll() is not None, "the command ends")
    assert pages.process.returncode == 1
    assert "kasmina: TensorBoard has ended with status -9: " in pages.text
    assert is_free(urlsplit(found["MLflow"]).port)


def test_what_a_server_said_last_is_told() -> None:
    dies = [sys.executable, "-c", "print('one'); print('port 1 is mine'); raise SystemExit(3)"]
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
    pages = [Page("Sleeper", sleeps, 9), Page("Mortal", dies, 9)]
    with pytest.raises(KasminaError, match=r"^Mortal has ended with status 3: one \| port 1 is mine$"):
        show(pages, print, lambda what: nullcontext())
    process = pages[0]._process
    assert process is not None and process.poll() is not None


def test_the_next_free_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) > port
    assert free_port(port, port) > port


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "config.yaml").touch()
    assert main(["ui", str(tmp_path)]) == 2
    assert "is the folder of one run" in capsys.readouterr().err
