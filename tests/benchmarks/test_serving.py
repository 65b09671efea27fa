"""What `kasmina serve` costs beside bare FastAPI and torch: the default model, one row a request, real HTTP."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kasmina.cli.main import main
from kasmina_loggers.registry.packaging import package

pytestmark = pytest.mark.filterwarnings("ignore")  # those of MLflow
HERE = Path(__file__).parent / "serving"
SECONDS, ROUNDS = 2, 5
ENDS = {
    "kasmina serve": ("/invocations", {"dataframe_split": {"columns": ["x1", "x2"], "data": [[0.1, 0.2]]}}),
    "FastAPI and torch": ("/predict", [[0.1, 0.2]]),
}


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    assert main(["run", "--no-logger", "rich", "--out", str(folder / "run")]) == 0
    package(folder / "run", folder / "model")
    found = {name: free() for name in ENDS}
    ours = ["-m", "kasmina", "serve", "--model", folder / "model", "--port", found["kasmina serve"]]
    bare = [HERE / "bare.py", folder / "model" / "artifacts" / "program.pt2", found["FastAPI and torch"]]
    running = [
        subprocess.Popen([sys.executable, *map(str, words)], cwd=folder, stdout=subprocess.DEVNULL)
        for words in (ours, bare)
    ]
    try:
        for name in ENDS:
            began = time.monotonic()
            while not asked(name, found[name], 1, 0.01):
                assert time.monotonic() - began < 120
                time.sleep(0.2)
        yield found
    finally:
        for process in running:
            process.terminate()
            process.wait()


def asked(name, port, clients, seconds):
    """Seconds that each request took; none if nobody is there yet."""
    path, body = ENDS[name]
    words = [sys.executable, str(HERE / "load.py"), str(port), path, str(clients), str(seconds)]
    done = subprocess.run(words, input=json.dumps(body).encode(), capture_output=True)
    return json.loads(done.stdout) if done.returncode == 0 else []


@pytest.mark.parametrize("clients", [1, 8])
def test_requests_a_second(ports, clients) -> None:
    times, rates = {name: [] for name in ENDS}, {name: [] for name in ENDS}
    for number in range(ROUNDS):
        for name in list(ENDS)[:: 1 if number % 2 else -1]:
            took = asked(name, ports[name], clients, SECONDS)
            assert took
            times[name] += took
            rates[name].append(len(took) / SECONDS)
    print(f"\n{os.cpu_count()} cores, {clients} clients: requests a second [range], p50, p99")
    for name in ENDS:
        cuts = statistics.quantiles(times[name], n=100)
        rate, low, high = statistics.median(rates[name]), min(rates[name]), max(rates[name])
        print(f"{name:18} {rate:7.0f} [{low:.0f}, {high:.0f}]  {1e3 * cuts[49]:6.2f} ms  {1e3 * cuts[98]:6.2f} ms")
    ratio = statistics.median(o / b for o, b in zip(*rates.values(), strict=True))
    print(f"ratio {ratio:.2f}")
    assert ratio >= 0.1
