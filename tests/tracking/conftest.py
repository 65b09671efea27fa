"""One server for all tests, and none that the environment names."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from shipped import served, shop  # noqa: F401
from tracked import Server

os.environ.pop("PYTHONWARNINGS", None)  # nor what its servers say, when they are begun by commands of ours

MARK = "KASMINA_TESTS"
GRACE = 20
"""Seconds in which processes that are about to end have to."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What MLflow says to those who write on it, or uses of its own libraries, is no fault of ours."""
    for item in items:
        if item.path.parent.name == "tracking":
            for kind in ("DeprecationWarning", "FutureWarning", "UserWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """When all tests are done, no process that they began is alive: no sender waits for a store that never comes."""
    mark = uuid.uuid4().hex
    os.environ[MARK] = mark  # all that the tests begin inherit it
    yield
    del os.environ[MARK]
    _, left = psutil.wait_procs(list(begun_under(mark)), GRACE)
    for process in left:
        process.kill()
    assert not left, [" ".join(words_of(process)) for process in left]


def begun_under(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or it has just ended
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                yield process


def words_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return [str(process)]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = Server(tmp_path_factory.mktemp("server"), port)
    try:
        yield one
    finally:
        one.kill()


@pytest.fixture
def server(shared: Server) -> Server:
    """It runs when the test begins."""
    if shared.process is None:
        shared.start()
    return shared


@pytest.fixture(autouse=True)
def _no_server_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
