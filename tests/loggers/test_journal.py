"""Whatever the disk does, the file holds whole records, each once and in order."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmina import Incident, RunInfo
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina_loggers.journal import Journal
from kasmina_loggers.jsonl import JSONL


class Disk(io.BytesIO):
    """A file on a disk of `room` bytes; one that is full takes what still fits, and then nothing."""

    room = 10**9
    stuck = False
    """Not even a file can be made shorter."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        fits = data[: max(0, self.room - self.tell())]
        if data and not fits:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(fits)

    def truncate(self, size: int | None = None) -> int:
        if self.stuck and size != len(self.getvalue()):
            raise OSError(errno.EIO, "Input/output error")
        return super().truncate(size)


ACTS = st.one_of(
    st.tuples(st.just("tell"), st.text("ab", max_size=12).map(lambda text: f"{text}\n".encode())),
    st.tuples(st.just("room"), st.integers(0, 60)),
    st.tuples(st.just("more"), st.none()),
    st.tuples(st.just("stuck"), st.none()),
    st.tuples(st.just("save"), st.none()),
    st.tuples(st.just("load"), st.integers(0, 5)),
    st.tuples(st.just("crash"), st.none()),
)


@given(st.lists(ACTS, max_size=40))
def test_any_history_leaves_whole_records_each_once(acts: list[tuple[str, Any]]) -> None:
    disk, told, saved = Disk(), [], [(0, hashlib.sha256().hexdigest(), 0)]
    journal = Journal(Path("it.jsonl"), disk)
    for act, what in acts:
        if act == "tell":
            journal.add(what)
            told.append(what)
        elif act == "room":
            disk.room = len(disk.getvalue()) + what
        elif act == "more":
            disk.room, disk.stuck = 10**9, False
            journal.write_waiting()
        elif act == "stuck":
            disk.stuck = True
        elif act == "save":
            saved.append((journal.position, journal.digest, len(told)))
        elif act == "load":
            disk.stuck = False
            position, digest, count = saved[what % len(saved)]
            journal.go_back(position, digest)
            del told[count:], saved[1 + what % len(saved) :]
        else:
            disk.stuck = False
            journal = Journal(Path("it.jsonl"), disk)
            told = disk.getvalue().splitlines(keepends=True)
            saved = [one for one in saved if one[0] <= journal.position]
        assert b"".join(told).startswith(disk.getvalue())
        assert disk.stuck or not disk.getvalue() or disk.getvalue().endswith(b"\n")
        assert journal.position == len(b"".join(told))
    disk.room = 10**9
    journal.write_waiting()
    assert disk.getvalue() == b"".join(told)


def test_a_file_that_got_shorter_goes_on_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "it.jsonl"
    path.write_bytes(b"1\n2\n")
    journal = Journal(path)
    with pytest.raises(OSError, match="it.jsonl is 6 bytes shorter than when the run was saved"):
        journal.go_back(10)
    journal.add(b"3\n")
    journal.close()
    assert path.read_bytes() == b"1\n2\n3\n"


def test_a_file_that_was_changed_goes_on_after_a_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "it.jsonl"
    path.write_bytes(b"1\n22222\n3\n")
    journal = Journal(path)
    with pytest.raises(OSError, match="no record that ends at byte 5; it goes on at byte 2"):
        journal.go_back(5)
    journal.add(b"4\n")
    journal.close()
    assert path.read_bytes() == b"1\n4\n"


@given(st.lists(st.binary(max_size=9).map(lambda text: text.hex().encode() + b"\n"), min_size=1), st.data())
def test_one_bit_that_is_another_is_told_and_the_file_goes_on(lines: list[bytes], data: st.DataObject) -> None:
    disk = Disk(b"".join(lines))
    journal = Journal(Path("it.jsonl"), disk)
    position, digest = journal.position, journal.digest
    journal.add(b"later\n")
    at = data.draw(st.integers(0, position - 1))
    changed = bytearray(disk.getvalue())
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    disk = Disk(bytes(changed))
    journal = Journal(Path("it.jsonl"), disk)
    with pytest.raises(OSError, match="it.jsonl (is not what it was|has no record that ends)"):
        journal.go_back(position, digest)
    assert disk.getvalue() == bytes(changed[: journal.position])
    journal.go_back(journal.position, journal.digest)


def test_what_could_never_be_written_is_told_at_the_end() -> None:
    disk = Disk()
    journal = Journal(Path("it.jsonl"), disk)
    disk.room = 3
    for line in (b"1\n", b"2\n", b"3\n"):
        journal.add(line)
    with pytest.raises(OSError, match="2 records of it.jsonl are lost: No space left on device"):
        journal.close()
    assert disk.closed
    journal.close()  # more than once does no harm


# -- the logger --------------------------------------------------------------------------------------------------------


def test_a_run_that_goes_back_tells_each_thing_once(course_of: Callable[..., Any], run: RunInfo) -> None:
    logger = JSONL()
    course = course_of(logger)
    course.hooks.on_run_start(run=run)
    for phase in run.plan.phases[:1]:
        course.hooks.on_phase_start(phase=phase, run=run)
    for epoch in range(1, 4):
        course.hooks.log_metrics(metrics=metrics_of(1.0), step=epoch)
    saved = logger.state_dict()
    metrics = (run.folder / "metrics.jsonl").read_bytes()
    course.hooks.on_phase_start(phase=run.plan.phases[1], run=run)
    course.grow()
    assert (run.folder / "events.jsonl").stat().st_size > 0
    logger.load_state_dict(saved)
    assert (run.folder / "metrics.jsonl").read_bytes() == metrics
    assert (run.folder / "events.jsonl").read_bytes() == b""
    course.hooks.log_metrics(metrics=metrics_of(1.0), step=4)
    course.hooks.on_run_end(run=run, summary={})
    assert b'{"step": 4, "phase": "warm-up"' in (run.folder / "metrics.jsonl").read_bytes()


def test_an_incident_is_one_flat_record(course_of: Callable[..., Any], run: RunInfo) -> None:
    course = course_of(JSONL())
    course.hooks.on_run_start(run=run)
    incident = Incident(3, 12, "warm-up", "rollback", "the training loss is nan at step 13", "culled seed 1", "a", 1)
    course.hooks.on_incident(incident=incident)
    course.hooks.on_run_end(run=run, summary={})
    assert (run.folder / "events.jsonl").read_text() == (
        '{"step": 12, "epoch": 3, "phase": "warm-up", "incident": "rollback", '
        '"reason": "the training loss is nan at step 13", "action": "culled seed 1", "site": "a", "seed": 1}\n'
    )


def test_one_file_that_is_shorter_does_not_keep_the_other_from_going_back(
    course_of: Callable[..., Any], run: RunInfo
) -> None:
    logger = JSONL()
    hooks = course_of(logger).hooks
    hooks.on_run_start(run=run)
    hooks.log_metrics(metrics=metrics_of(1.0), step=1)
    saved = logger.state_dict()
    hooks.on_incident(incident=Incident(1, 4, "warm-up", "refusal", "too many"))
    saved["bytes"]["metrics"] += 10
    with pytest.raises(OSError, match="metrics.jsonl is 10 bytes shorter"):
        logger.load_state_dict(saved)
    assert (run.folder / "events.jsonl").read_bytes() == b""
    hooks.on_run_end(run=run, summary={})


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A real file system of 64 KiB, where this machine lets us have one."""
    folder = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_a_full_disk_costs_no_record(make_run: Any, make_course: Any, small_disk: Path) -> None:
    logger = JSONL()
    course = make_course(make_run(small_disk), logger)
    course.hooks.on_run_start(run=course.run)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(40 * 1024))
    for epoch in range(1, 301):
        course.hooks.log_metrics(metrics=metrics_of(0.5), step=epoch)
    full = (small_disk / "metrics.jsonl").read_bytes()
    saved = logger.state_dict()
    assert full.endswith(b"\n") and len(full) < saved["bytes"]["metrics"] < 60_000
    ballast.unlink()
    course.hooks.log_metrics(metrics=metrics_of(0.5), step=301)
    lines = (small_disk / "metrics.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 302))
    logger.load_state_dict(saved)
    assert (small_disk / "metrics.jsonl").read_bytes().splitlines() == lines[:300]
    course.hooks.on_run_end(run=course.run, summary={})
