"""Checks of a logger: no hook raises, it writes only into the run's folder, and it leaves nothing running."""

from __future__ import annotations

import io
import math
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from kasmina.testing.contract_check import Check
from kasmina.testing.hook_calls import hook_calls
from kasmina.testing.options import Subject, hook_checks, option_checks, refuse
from kasmina.testing.resume import Stops, moments
from kasmina.testing.script import Script
from kasmina.testing.simulated_records import metrics
from kasmina.testing.simulated_run import SimulatedRun

ODD = ("a/b/c", "../outside", "Überraschung 漢字", "[/bold] [red]", "two\nlines", "with space", "", "a" * 200, "%s {0}")
SCRIPTS: dict[str, tuple[str, Script]] = {
    "survives a whole run": ("no hook raises in a run from start to end", Script()),
    "survives a stopped run": ("no hook raises in a run that is stopped", Script(status="stopped", epochs=24)),
    "survives a failed run": (
        "no hook raises in a run that fails and has no results",
        Script(status="failed", epochs=24),
    ),
    "survives no growth": (
        "no hook raises in a run without a site or a target",
        Script(sites=("layers.0",), target=None, busy=True),
    ),
    "survives unusual names": (
        "names may have slashes, spaces, brackets and letters of any alphabet, and numbers may be NaN or infinite",
        Script(name="Überraschung 漢字 [x]", sites=ODD[:-3], tags=ODD),
    ),
}


def checks(cls: Any, **options: Any) -> list[Check]:
    """Return the checks of the logger `cls` with these options."""
    subject = Subject("logger", cls, options)
    own = [
        ("survives an empty epoch", "no hook raises where there is no seed and no histogram", _empty_epoch),
        ("survives hooks in any order", "no hook raises, whatever was called before: a run may fail early", _any_order),
        ("logs two runs", "one instance may log a run, and then another into another folder", _two_runs),
        ("goes on where it stopped", "a run may be resumed in its folder by a new instance", _resumed),
        (
            "takes up what it remembers",
            "a run may be stopped anywhere, and a new instance is given what state_dict() of the old one gave",
            _taken_up,
        ),
        (
            "leaves nothing running",
            "after the end of a run no thread goes on, and stdout and stderr are given back",
            _lets_go,
        ),
    ]
    return [
        *option_checks(subject),
        *hook_checks(subject),
        *[Check(name, rule, partial(_plays, subject, script)) for name, (rule, script) in SCRIPTS.items()],
        *[Check(name, rule, partial(look, subject)) for name, rule, look in own],
        Check(
            "writes into its folder",
            "nothing is written outside the run's folder, nor into the working folder",
            lambda: _stays_inside(subject),
        ),
    ]


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Provide a temporary folder with an empty working folder in it; hide what is printed."""
    with tempfile.TemporaryDirectory(prefix="kasmina-check-") as path:
        work = Path(path, "work")
        work.mkdir()
        with chdir(work), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield Path(path)


def _course(subject: Subject, temporary: Path, script: Script, plugin: Any = None) -> SimulatedRun:
    folder = temporary / "runs" / script.name
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "summary.json"):
        (folder / name).write_text("{}\n", encoding="utf-8")
    return SimulatedRun(script, subject.hooks(plugin or subject.make(), refuse), folder)


def _plays(subject: Subject, script: Script) -> None:
    with _temporary_folder() as temporary:
        _course(subject, temporary, script).play()


def _empty_epoch(subject: Subject) -> None:
    with _temporary_folder() as temporary:
        course = _course(subject, temporary, Script())
        course.hooks.on_run_start(run=course.run)
        course.hooks.log_metrics(metrics=metrics(math.nan), step=1)
        course.hooks.log_histograms(histograms={}, step=1)
        course.hooks.on_run_end(run=course.run, summary={"status": "failed"})


def _any_order(subject: Subject) -> None:
    draw = random.Random(0)
    for _ in range(20):
        with _temporary_folder() as temporary:
            course = _course(subject, temporary, Script())
            told = list(hook_calls(course)) * 2
            draw.shuffle(told)
            for hook, arguments in told:
                getattr(course.hooks, hook)(**arguments)
            course.hooks.on_run_end(run=course.run, summary=course.summary)


def _two_runs(subject: Subject) -> None:
    with _temporary_folder() as temporary:
        logger = subject.make()
        first = _course(subject, temporary, Script(epochs=24, name="first"), logger)
        first.play()
        kept = _contents(first.folder)
        _course(subject, temporary, Script(epochs=24, name="second"), logger).play()
        assert _contents(first.folder) == kept, "the second run changed the first one's folder"


def _resumed(subject: Subject) -> None:
    with _temporary_folder() as temporary:
        for seed in (0, 1):
            _course(subject, temporary, Script(seed, epochs=24)).play()


def _taken_up(subject: Subject) -> None:
    for seed in (0, 1):
        with _temporary_folder() as temporary:
            script, logger = Script(seed, epochs=24), subject.make()
            course = _course(subject, temporary, script, logger)
            course.stops = dict.fromkeys(moments(script), Stops(subject, logger).resume)
            course.play()


def _lets_go(subject: Subject) -> None:
    with _temporary_folder() as temporary:
        threads, streams = set(threading.enumerate()), (sys.stdout, sys.stderr)
        _course(subject, temporary, Script(epochs=24)).play()
        assert (sys.stdout, sys.stderr) == streams, "sys.stdout or sys.stderr is another one than before"
        for thread in set(threading.enumerate()) - threads:
            thread.join(timeout=2)
            assert not thread.is_alive(), f"the thread {thread.name} goes on"


def _stays_inside(subject: Subject) -> None:
    with _temporary_folder() as temporary:
        course = _course(subject, temporary, Script(epochs=24, tags=ODD))
        before = _outside(temporary, course.folder)
        course.play()
        added = sorted(_outside(temporary, course.folder) - before)
        assert not added, f"it wrote {', '.join(added)}"


def _outside(temporary: Path, folder: Path) -> set[str]:
    paths = (path for path in temporary.rglob("*") if folder not in (path, *path.parents))
    return {f"{path.relative_to(temporary)} of {path.stat().st_size} bytes" for path in paths}


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
