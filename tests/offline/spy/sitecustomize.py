"""Writes down whom a process means to reach, and lets it try; on PYTHONPATH its children do so too."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

LOG = os.environ["OFFLINE_LOG"]
CONNECTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
ASKS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


def told(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in CONNECTS | ASKS:
        return
    whom = arguments[1] if event in CONNECTS else arguments[0]
    whom = whom[0] if isinstance(whom, tuple) else None if event in CONNECTS else whom  # a path is on this machine
    if isinstance(whom, bytes):
        whom = whom.decode()
    if isinstance(whom, str):
        line = json.dumps({"event": event, "whom": whom, "by": sys.argv[:2]}) + "\n"
        handle = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode())
        os.close(handle)


sys.addaudithook(told)
