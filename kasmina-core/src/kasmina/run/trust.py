"""Trust in the code that a config file names: it is signed by the user, or it is not run.

A config may name a host or a task as ``module:callable``, which is anything that Python can call. A user who types the
name consents, but in a file it may be a stranger's. So a run whose options were typed leaves a signature next to its
config.yaml, made with a secret of the user's, as Jupyter signs notebooks. The signature covers the whole file and the
place of the code: a signed folder that was given away and comes back with other code is not trusted.
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
from kasmina.files import write
from kasmina.plugins.user_code import find_code, is_user_code

SUFFIX = ".signature"
"""Ending of the signature's file, which has a line for each piece of code."""
BYTES = 32
"""Number of bytes of the secret."""
LIMIT = 1 << 20
"""Largest config or signature that is read, in bytes."""


def sign(file: Path, words: Mapping[str, str]) -> None:
    """Sign the user's consent to the code among `words` (by kind) that the config `file` names.

    Nothing is signed if the user has no place for a secret, or if no code is named.
    """
    if code := {kind: word for kind, word in words.items() if is_user_code(kind, word)}:
        with suppress(OSError):
            content, secret = files.read(file, LIMIT), _secret() or _new_secret()
            lines = [_signature(secret, content, kind, word, find_code(word) or "") for kind, word in code.items()]
            write(file.with_name(file.name + SUFFIX), "".join(f"{line}\n" for line in lines).encode())


def check(file: Path, words: Mapping[str, str]) -> None:
    """Raise if the config `file` names code among `words` (by kind) that the user has neither typed nor signed.

    Raises:
        UsageError: A word names code that is not a plugin, and it has no signature of the user's.
    """
    for kind, word in words.items():
        # Code that does not exist cannot be run, and loading it fails with a message of its own.
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
    """Return the user's secret, or None if there is none yet.

    Raises:
        OSError: It cannot be read.
    """
    try:
        secret = files.read(_home() / "secret", BYTES)
    except FileNotFoundError:
        return None
    return secret if len(secret) == BYTES else None


def _new_secret() -> bytes:
    """Make the user's secret, whole or not at all; if another process was faster, its secret counts.

    Raises:
        OSError: There is no place for it.
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
    if not home.is_absolute():  # without a home, the working folder may be anybody's
        raise FileNotFoundError("the user has no home folder")
    return home
