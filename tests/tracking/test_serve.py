"""Models asked over HTTP, at real servers, by those who mean well and by those who do not."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shipped import Answer, Process, Shop, ask
from tracked import until

from kasmina.cli.main import main
from kasmina_loggers.registry.packaging import package


@pytest.fixture
def url(served: Callable[[str], Process]) -> Callable[[str], str]:
    def of(name: str) -> str:
        said = served(name).says("listens at ")
        return said.partition("listens at ")[2].split(";")[0]

    return of


def connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def rows(*data: list[Any], columns: Sequence[str] = ("x1", "x2")) -> bytes:
    return json.dumps({"dataframe_split": {"columns": list(columns), "data": list(data)}}).encode()


def images(value: Any) -> bytes:
    return json.dumps({"inputs": value}).encode()


GOOD = {"spirals": rows([0.1, 0.2]), "digits": images([[[[0.5] * 8] * 8]])}
BAD = {
    "wrong shape": ("spirals", rows([1.0, 2.0, 3.0], columns="abc"), 400, "Model is missing inputs ["),
    "wrong shape of a tensor": ("digits", images([[[0.5] * 8] * 8]), 400, "(-1, 1, 8, 8)"),
    "ragged rows": ("digits", images([[[[0.5] * 8] * 8], [1]]), 400, "inhomogeneous shape"),
    "wrong names": ("spirals", rows([0.1, 0.2], columns="ab"), 400, "there were extra inputs: ["),
    "missing names": ("spirals", rows([0.1], columns=["x1"]), 400, "missing inputs ['x2']"),
    "names that are missing altogether": ("spirals", images([[0.1, 0.2]]), 400, "Model is missing inputs ["),
    "strings": ("spirals", rows(["a", "b"]), 400, "holds the text 'b': a number is due"),
    "strings in records": ("spirals", b'{"dataframe_records": [{"x1": 1, "x2": "2"}]}', 400, "holds the text '2'"),
    "numbers as strings": ("spirals", rows(["0.5", 0.2]), 400, "holds the text '0.5': a number is due"),
    "strings in a tensor": ("digits", images([[[["a"] * 8] * 8]]), 400, "holds the text 'a': a number is due"),
    "NaN": ("spirals", rows([float("nan"), 0.2]), 400, "row 0 holds nan: a finite number"),
    "NaN in a tensor": ("digits", images([[[[float("nan")] * 8] * 8]]), 400, "row 0 holds nan: a finite number"),
    "null": ("spirals", rows([None, 0.2]), 400, "row 0 holds nan: a finite number"),
    "infinity": ("spirals", b'{"inputs": {"x1": [1e999], "x2": [0]}}', 400, "row 0 holds inf: a finite number"),
    "an empty batch": ("spirals", rows(), 400, "the batch has 0 rows"),
    "an empty batch of tensors": ("digits", images([]), 400, "[]"),
    "too many rows": ("spirals", rows(*[[0.1, 0.2]] * 10_001), 400, "the batch has 10001 rows: 1 to 10000 are due"),
    "10 MB of rows": ("spirals", rows(*[[0.123456789, 0.123456789]] * 400_000), 413, "larger than 8 MiB"),
    "malformed JSON": ("spirals", b'{"inputs": [', 400, "JSONDecodeError"),
    "no JSON object": ("spirals", b"3", 400, "must be a JSON dictionary"),
    "an empty body": ("spirals", b"", 400, "JSONDecodeError"),
    "brackets without end": ("spirals", b'{"inputs":' + b"[" * 100_000, 400, "RecursionError"),
    "a number of 5,000 digits": ("spirals", b'{"inputs": ' + b"9" * 5000 + b"}", 400, "Exceeds the limit"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_told_why_and_the_server_lives_on(url: Callable[[str], str], case: str) -> None:
    name, body, status, reason = BAD[case]
    answer = ask(f"{url(name)}/invocations", body)
    assert (answer.status, reason in answer.json["message"]) == (status, True), answer
    assert ask(f"{url(name)}/invocations", GOOD[name]).status == 200


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [("text/xml", 415, b"only supports"), (None, 415, b"no content-type"), ("text/csv", 400, b"Failed to parse")],
)
def test_a_wrong_content_type_is_told(url: Callable[[str], str], kind: str | None, status: int, reason: bytes) -> None:
    request = urllib.request.Request(f"{url('spirals')}/invocations", b"<x1/>" if kind else b"{}")
    if kind is None:  # urllib would add one
        with connected(url("spirals")) as raw:
            raw.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
            said = b"".join(iter(lambda: raw.recv(4096), b""))
        assert f" {status} ".encode() in said and reason in said
        return
    answer = ask(request.full_url, b"x1,x2\na,b\n", kind)
    assert answer.status == status and reason in answer.body


@pytest.mark.parametrize("header", [b"Transfer-Encoding: chunked", b"Content-Length: 99999999999"])
def test_a_body_without_end_is_refused(url: Callable[[str], str], header: bytes) -> None:
    with connected(url("spirals")) as raw:
        raw.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + header + b"\r\n\r\n"
        )
        if b"chunked" in header:
            for _ in range(9):
                raw.sendall(b"100000\r\n" + b"1" * (1 << 20) + b"\r\n")
            raw.sendall(b"0\r\n\r\n")
        assert b" 413 " in raw.recv(4096)
    assert ask(f"{url('spirals')}/invocations", GOOD["spirals"]).status == 200


def test_answers_are_what_evaluate_says(
    shop: Shop, served: Callable[[str], Process], url: Callable[[str], str]
) -> None:
    names = ("spirals", "digits", "wine", "diabetes")
    for name in names:
        served(name)
    for name in names:
        body = json.dumps(shop.request(name)).encode()
        found = ask(f"{url(name)}/invocations", body).json["predictions"]
        values, predictions = shop.evaluated(name)
        if name == "diabetes":
            np.testing.assert_allclose([[row["prediction"]] for row in found], values, rtol=1e-6)
        else:
            np.testing.assert_allclose([row["probabilities"] for row in found], values, atol=1e-6)
            assert [row["prediction"] for row in found] == predictions


def test_it_tells_how_it_is(url: Callable[[str], str]) -> None:
    for path in ("/health", "/ping"):
        assert ask(url("spirals") + path).status == 200

    def counted() -> dict[str, float]:
        lines = ask(url("spirals") + "/metrics").body.decode().splitlines()
        of = [line for line in lines if line.startswith("http_requests_total") and '"/invocations"' in line]
        return {line.split('status="')[1][:3]: float(line.split()[-1]) for line in of}

    before = counted()
    ask(f"{url('spirals')}/invocations", GOOD["spirals"])
    ask(f"{url('spirals')}/invocations", b"3")
    after = counted()
    assert after["2xx"] == before.get("2xx", 0) + 1 and after["4xx"] == before.get("4xx", 0) + 1


def test_the_line_that_is_shown_works(served: Callable[[str], Process], url: Callable[[str], str]) -> None:
    base, line = url("digits"), served("digits").text.splitlines()[1]
    words = shlex.split(line)
    assert words[0] == "curl" and words[1:4:2] == ["-H", "-d"] and words[-1] == f"{base}/invocations"
    assert len(ask(words[-1], words[4].encode()).json["predictions"]) == 1


def test_ctrl_c_ends_it_quietly(served: Callable[[str], Process]) -> None:
    server = served("wine")
    said = server.says("invocations\n")
    assert server.end(signal.SIGINT) == 0
    assert server.text == said and said.count("\n") == 2


def test_a_port_that_is_taken_is_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["serve", "--model", shop.promoted("spirals"), "--tracking-uri", shop.uri]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([*words, "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err


def test_which_model_is_to_be_served_is_asked_if_there_are_several(
    shop: Shop, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("spirals", "digits"):
        shop.promoted(name)
    assert main(["serve", "--port", "0", "--tracking-uri", shop.uri]) == 2
    said = capsys.readouterr().err
    assert "models:/digits@champion" in said and "models:/spirals@champion" in said
    assert main(["serve", "--port", "0", "--tracking-uri", f"sqlite:///{tmp_path}/none/mlflow.db"]) == 2
    assert "'kasmina promote RUN'" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    for model in ("models:/nobody@champion", "models:/spirals@nobody", "nobody", str(tmp_path)):
        assert main(["serve", "--port", "0", "--tracking-uri", shop.uri, "--model", model]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_container_build_has_what_it_needs(shop: Shop, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    uri, words = shop.promoted("spirals"), ["--tracking-uri", shop.uri]
    assert main(["serve", "--model", uri, "--dockerfile", str(tmp_path / "build"), *words]) == 0
    assert f"docker build -t kasmina-model {tmp_path / 'build'}" in capsys.readouterr().out
    recipe = (tmp_path / "build" / "Dockerfile").read_text()
    [copied] = [line.split()[1] for line in recipe.splitlines() if line.startswith("COPY")]
    assert (tmp_path / "build" / copied / "MLmodel").is_file()
    assert (tmp_path / "build" / copied / "requirements.txt").is_file()
    assert main(["serve", "--model", uri, "--dockerfile", str(tmp_path / "build"), *words]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_mlflow_serves_it_where_there_is_no_kasmina(shop: Shop, tmp_path: Path) -> None:
    package(shop.run("digits"), tmp_path / "model")
    blocked = "import sys\nsys.modules['kasmina'] = sys.modules['kasmina_loggers'] = None\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(blocked)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["models", "serve", "-m", str(tmp_path / "model"), "--env-manager", "local", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words],
        env={"PATH": f"{sys.prefix}/bin:/bin:/usr/bin", "PYTHONPATH": str(tmp_path / "site"), "DO_NOT_TRACK": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=tmp_path,
    )
    try:

        def answer() -> Answer | None:
            assert server.poll() is None
            try:
                return ask(f"http://127.0.0.1:{port}/invocations", json.dumps(shop.request("digits")).encode())
            except OSError:
                return None

        found = until(answer, "mlflow models serve answers").json["predictions"]
        np.testing.assert_allclose([row["probabilities"] for row in found], shop.evaluated("digits")[0], atol=1e-6)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
