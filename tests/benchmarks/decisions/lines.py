"""Results: one JSON line for each task, contestant and seed, appended to a file that only the parent writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from decisions.contestants import Contestant
from decisions.tasks import Task

Line = dict[str, Any]


@frozen
class Job:
    """One run that is due."""

    task: Task
    contestant: Contestant
    seed: int

    @property
    def key(self) -> str:
        return key(self.task.name, self.contestant.name, self.contestant.overrides, self.seed)


def key(task: str, contestant: str, overrides: Any, seed: int) -> str:
    """Return what no two lines of a file have in common."""
    return json.dumps([task, contestant, list(overrides), seed])


class Lines:
    """The lines of an out folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "results.jsonl"
        self.by_key: dict[str, Line] = {
            key(line["task"], line["contestant"], line["overrides"], line["seed"]): line for line in self._read()
        }

    def _read(self) -> Iterator[Line]:
        """Yield all that is whole: a kill may have cut off the last line."""
        if not self.path.exists():
            return
        text = self.path.read_text()
        if text and not text.endswith("\n"):
            text = text[: text.rfind("\n") + 1]
            self.path.write_text(text)
        yield from map(json.loads, text.splitlines())

    def all(self) -> list[Line]:
        """Return every line; of lines with one key the last counts."""
        return list(self.by_key.values())

    def due(self, jobs: list[Job], retry: bool = False) -> list[Job]:
        """Return the jobs that have no line yet; with `retry` those whose run has failed as well."""
        done = {key for key, line in self.by_key.items() if not (retry and line["status"] == "failed")}
        return [job for job in jobs if job.key not in done]

    def add(self, job: Job, line: Line) -> None:
        """Append the result of a job."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        self.by_key[job.key] = line
