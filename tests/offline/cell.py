"""Runs a command in a network of which only loopback is left, and counts what found no way out of it.

``unshare -rn python cell.py FILE COMMAND…``: FILE gets, as JSON, how many packets and connections the kernel could not
send anywhere, of the command and all that it started, in whatever language they are written.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

SIOCSIFFLAGS, IFF_UP, PR_SET_CHILD_SUBREAPER = 0x8914, 0x1, 36
PATIENCE = 120
"""Seconds that those which outlive the command have to come to their end."""


def main(file: str, *command: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    status = subprocess.run(command).returncode
    left = not alone(time.monotonic() + PATIENCE)
    Path(file).write_text(json.dumps({"lost": lost(), "left": left}))
    return status


def alone(deadline: float) -> bool:
    """Whether all that was started has ended, by then."""
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.02)
        except ChildProcessError:
            return True
    return False


def lost() -> int:
    """What the kernel of this network had no route for."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:3] == "Ip:")
    six = Path("/proc/net/snmp6")  # not where IPv6 is off
    more = [line.split() for line in six.read_text().splitlines()] if six.exists() else []
    count = dict(zip(names, values, strict=True)) | {name: value for name, value in more}
    return int(count["OutNoRoutes"]) + int(count.get("Ip6OutNoRoutes", 0))


sys.exit(main(*sys.argv[1:]))
