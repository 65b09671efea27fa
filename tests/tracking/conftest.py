"""One server for all tests, and none that the environment names."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from shipped import served, shop  # noqa: F401
from tracked import Server

os.environ.pop("PYTHONWARNINGS", None)  # nor what its servers say, when they are begun by commands of ours


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What MLflow says to those who write on it, or uses of its own libraries, is no fault of ours."""
    for item in items:
        if item.path.parent.name == "tracking":
            for kind in ("DeprecationWarning", "FutureWarning", "UserWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


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
