"""One input, watched: what a target may do with it, and everything else, which is a find."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from attrs import field, frozen, mutable

from kasmina.errors import KasminaError

LIMIT = 10
"""Seconds; an input that takes longer hangs."""

MEMORY = 2 << 30
"""Bytes beyond what a target has when it begins."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate"}
CODE = {"pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "socket.connect"}


class Hang(BaseException):
    """Past the limit. No Exception, because what is being tested catches these."""


class Forbidden(BaseException):
    """Something that no input may bring about: foreign code, or a file outside of the target's folder."""


@frozen
class Find:
    """What should not have been."""

    kind: str
    """``"traceback"`` or ``"hang"``."""
    key: str
    """The same for the same fault, as far as can be told: its type, and the innermost line of ours."""
    story: str


@mutable
class Tally:
    """What came of all inputs so far."""

    inputs: int = 0
    accepted: int = 0
    refusals: set[str] = field(factory=set)
    finds: dict[str, Find] = field(factory=dict)
    examples: dict[str, bytes] = field(factory=dict)
    """The shortest input of each find."""

    def count(self, data: bytes, outcome: str | Find | None) -> None:
        """`outcome`: the sentence of a refusal, a find, or None if the input was taken as it is."""
        self.inputs += 1
        if outcome is None:
            self.accepted += 1
        elif isinstance(outcome, str):
            self.refusals.add(_form(outcome))
        elif outcome.key not in self.finds or len(data) < len(self.examples[outcome.key]):
            self.finds[outcome.key], self.examples[outcome.key] = outcome, data


def outcome(check: Callable[[bytes], None], data: bytes) -> str | Find | None:
    """What comes of one input.

    A KasminaError is as it should be; any other exception, a warning, a hang, more memory than is due, foreign code
    and a file elsewhere are finds.
    """
    try:
        with _alarm(), _guarded(), warnings.catch_warnings():
            warnings.simplefilter("error")
            check(data)
    except KasminaError as error:
        sentence = str(error)
        if not sentence.strip():
            return Find("traceback", f"{type(error).__name__} without a word", _story(error))
        return sentence
    except Hang as error:
        return Find("hang", f"Hang {_place(error)}", _story(error))
    except (Exception, Forbidden, SystemExit) as error:
        return Find("traceback", f"{type(error).__name__} {_place(error)}", _story(error))
    return None


def confine(folder: Path) -> None:
    """Limits this process's memory, and watches that it leaves nothing outside of the folder."""
    used = int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, -1))
    _Audit.folder = str(folder)
    sys.addaudithook(_Audit.hear)


class _Audit:
    """Python's own events; a hook cannot be taken back, and so it is told when to listen."""

    folder = ""
    listening = False

    @classmethod
    def hear(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if not cls.listening:
            return
        if event in CODE:
            raise Forbidden(f"{event} {arguments!r:.200}")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING or event in CHANGES:
            cls._check(event, arguments[0])

    @classmethod
    def _check(cls, event: str, path: object) -> None:
        if isinstance(path, (str, bytes, os.PathLike)):
            where = os.path.abspath(os.fsdecode(path))
            if not where.startswith((cls.folder, os.devnull)) and "__pycache__" not in where:
                raise Forbidden(f"{event} of {where}, which is not in {cls.folder}")


@contextmanager
def _guarded() -> Iterator[None]:
    _Audit.listening = True
    try:
        yield
    finally:
        _Audit.listening = False


@contextmanager
def _alarm() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _late)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _late(number: int, frame: FrameType | None) -> None:
    raise Hang(f"more than {LIMIT} seconds")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "kasmina" in frame.filename and "fuzz" not in frame.filename]
    frame = (ours or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.name}"


def _story(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-30))[-6000:]


def _form(sentence: str) -> str:
    """A sentence without what it quotes, so that the same refusal of two inputs counts once."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|[\[{(].*[\]})]", "…", sentence[:2000], flags=re.DOTALL)
    return re.sub(r"[^\sA-Za-z….,:;=-]+", "#", plain)[:160]
