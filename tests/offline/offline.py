"""Runs commands where there is no way out, and tells whom they tried to reach.

Two witnesses, neither of which needs more than Python and Linux: each Python process writes down, by an audit hook,
whom it means to connect to or asks the resolver for; and the kernel of an empty network counts what it could send
nowhere, by which processes in other languages and libraries that call the system themselves are caught too. Of these
two, only the first sees a name that is asked of a resolver on this machine.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Offline:
    """What became of a command that had no network."""

    status: int
    out: str
    err: str
    tried: tuple[str, ...]
    """In words, everybody outside of this machine whom it, or what it started, tried to reach."""


def offline(command: Sequence[str], cwd: Path, path: Sequence[Path] = (), timeout: float = 300) -> Offline:
    """Runs it there, in the folder `cwd`, with `path` before all else that modules are imported from.

    A server, and who asks it, must be of one command, such as a script of both: from outside nobody can reach it.
    """
    with tempfile.TemporaryDirectory() as folder:
        log, count = Path(folder, "log"), Path(folder, "count")
        log.touch()
        folders = [str(HERE / "spy"), *map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [*empty_network(), sys.executable, str(HERE / "cell.py"), str(count), *command],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(folders), "OFFLINE_LOG": str(log)},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        told = [json.loads(line) for line in log.read_text().splitlines()]
        tried = [f"{' '.join(one['by'])}: {one['event']} {one['whom']}" for one in told if outside(one["whom"])]
        kernel = json.loads(count.read_text())
    if kernel["lost"]:
        tried.append(f"{kernel['lost']} connections or packets found no route")
    assert not kernel["left"], f"something that {command} started is still there"
    return Offline(done.returncode, done.stdout, done.stderr, tuple(dict.fromkeys(tried)))


def outside(whom: str) -> bool:
    """Whether an address or a name is of another machine."""
    if whom in ("", "localhost"):
        return False
    try:
        address = ipaddress.ip_address(whom.partition("%")[0])
    except ValueError:
        return True  # a name that only a resolver knows
    return not (address.is_loopback or address.is_unspecified)


@functools.cache
def empty_network() -> list[str]:
    """What runs a command in a network of its own, with loopback alone.

    Raises:
        AssertionError: this user may not make one.
    """
    for words in (["unshare", "-rn"], ["unshare", "-n"]):
        if not subprocess.run([*words, "true"], capture_output=True).returncode:
            return words
    raise AssertionError(
        "these tests need a network of their own ('unshare -rn'), which this user may not make; on Ubuntu, "
        "'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0' allows it"
    )
