"""Whether code that a config file names may be run.

A config may name a host or a task as ``module:callable``, and that is anything that Python can call. Typed, the word
is consent; in a file it may be a stranger's. So a run that was typed leaves a signature beside its config.yaml, made
with a secret of the user's own, as Jupyter signs notebooks. It covers the file to the last byte, and where the code
lies: a signed folder that was given away and comes back with other code beside it is a stranger's again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

from kasmina import files
from kasmina.errors import UsageError
from kasmina.plugins.user_code import find_code, is_user_code
from kasmina.run.folder import write

SUFFIX = ".signature"
"""Of the file beside config.yaml: a line for each piece of code."""
BYTES = 32
"""Of the secret."""
LIMIT = 1 << 20
"""Bytes of a config or a signature that are looked at."""


def sign(file: Path, words: Mapping[str, str]) -> None:
    """Remembers that the user has consented to the code among `words` (by kind) that the config `file` names.

    Where the user has no place for a secret, nothing is remembered; where no code is named, nothing is even looked up.
    """
    if code := {kind: word for kind, word in words.items() if is_user_code(kind, word)}:
        with suppress(OSError):
            content, secret = files.read(file, LIMIT), _secret() or _new_secret()
            lines = [_signature(secret, content, kind, word, find_code(word) or "") for kind, word in code.items()]
            write(file.with_name(file.name + SUFFIX), "".join(f"{line}\n" for line in lines).encode())


def check(file: Path, words: Mapping[str, str]) -> None:
    """Those of `words` (by kind), which the config `file` names and nobody has typed, may be run.

    Raises:
        UsageError: one is code of no plugin, and no signature of the user's stands by it.
    """
    for kind, word in words.items():
        # Code that is not there cannot be run, and whoever looks for it says so.
        if is_user_code(kind, word) and (place := find_code(word)) and not _signed(file, kind, word, place):
            raise UsageError(
                f"{file} would run code that it names, the {kind} {word!r} from {place}, and nothing tells that you"
                " meant this: read that code, and add --trust if you do"
            )


def _signed(file: Path, kind: str, word: str, place: str) -> bool:
    try:
        content, lines = files.read(file, LIMIT), files.read(file.with_name(file.name + SUFFIX), LIMIT).split()
        if not lines or not (secret := _secret()):
            return False
    except OSError:
        return False
    due = _signature(secret, content, kind, word, place).encode()
    return any([hmac.compare_digest(due, line) for line in lines])


def _signature(secret: bytes, content: bytes, kind: str, word: str, place: str) -> str:
    message = json.dumps([hashlib.sha256(content).hexdigest(), kind, word, place])
    return hmac.new(secret, message.encode(), hashlib.sha256).hexdigest()


def _secret() -> bytes | None:
    """The user's secret; None if there is none yet.

    Raises:
        OSError: it cannot be read.
    """
    try:
        secret = files.read(_home() / "secret", BYTES)
    except FileNotFoundError:
        return None
    return secret if len(secret) == BYTES else None


def _new_secret() -> bytes:
    """Makes the user's secret, whole or not at all; where another process was faster, that one's counts.

    Raises:
        OSError: there is no place for it.
    """
    home = _home()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=home)  # readable by the user alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
        with suppress(FileExistsError):
            os.link(name, home / "secret")
    finally:
        os.unlink(name)
    secret = _secret()
    if secret is None:
        raise OSError("the secret is not whole")
    return secret


def _home() -> Path:
    home = Path(click.get_app_dir("kasmina"))
    if not home.is_absolute():  # no home: the working folder may be anybody's
        raise FileNotFoundError("the user has no home folder")
    return home
