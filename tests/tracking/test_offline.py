"""Tracking, promotion, serving and the pages reach nobody outside of this machine, when nobody names a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from offline import offline

# One script, for who asks a server must be in its network; commands that last are asked at all that they print.
SCRIPT = """
import re, signal, subprocess, sys, urllib.request

def run(*words):
    subprocess.run([sys.executable, "-m", "kasmina", *words], check=True)

def ask(*words, paths=("/",)):
    command = [sys.executable, "-u", "-m", "kasmina", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        found = []
        for line in process.stdout:
            found += re.findall(r"http://[0-9.:]+", line)
            if "Ctrl-C" in line:
                break
        for address in found:
            for path in paths:
                assert urllib.request.urlopen(address + path).status == 200
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert found and process.returncode == 0, (words, found, process.returncode)

loggers = ["--logger", "tensorboard", "--logger", "mlflow"]
run("run", "--epochs", "12", "--controller", "always", "--device", "cpu", "--out", "runs/first", *loggers)
run("sync", "runs/first")
run("promote", "runs/first")
run("models")
run("serve", "--dockerfile", "image")
ask("serve", "--port", "0", paths=["/health", "/metrics"])
ask("ui")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="networks of one's own are Linux's")
def test_no_command_tries_to_reach_anybody(tmp_path: Path) -> None:
    done = offline([sys.executable, "-c", SCRIPT], tmp_path, timeout=600)
    assert (done.status, done.tried) == (0, ()), done
    assert (tmp_path / "runs/first/mlflow/sent.json").is_file() and (tmp_path / "image/Dockerfile").is_file()
