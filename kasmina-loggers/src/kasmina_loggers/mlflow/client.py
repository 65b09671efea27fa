"""Delivery of an outbox's records by calls of MLflow's client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kasmina_loggers.formatting import one_line
from kasmina_loggers.mlflow import tracking_store
from kasmina_loggers.mlflow.delivery_state import DeliveryState
from kasmina_loggers.mlflow.outbox import Record, read
from kasmina_loggers.mlflow.store_errors import Away, Refused, fault
from kasmina_loggers.mlflow.value_limits import METRICS, TAG, WORDS, cut, key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

MARK = "kasmina.id"
"""Tag that identifies the run in MLflow if the answer to its creation is lost."""
STATUS = {"finished": "FINISHED", "stopped": "KILLED", "killed": "KILLED", "failed": "FAILED"}
BESIDE = ("metrics.jsonl", "events.jsonl")
"""Files of a run that `log_artifact` does not announce, because they are written until the end."""


@define(eq=False)
class TrackingClient:
    """Client that sends the outbox of the run in `run` to the store of `sent`, from the position reached so far.

    A record whose answer was lost is sent again, and is in MLflow once: it drops a metric that it has already.
    """

    run: Path
    folder: Path
    sent: DeliveryState
    model: Callable[[MlflowClient, str, Path], str]
    """Function that logs the run's model and returns its URI."""
    _client: MlflowClient | None = field(default=None, init=False)

    @property
    def client(self) -> MlflowClient:
        if self._client is None:
            self._client = tracking_store.client(self.sent.tracking_uri)
        return self._client

    def take_up(self) -> None:
        """Mark the run as running again, even if an earlier sender has declared it ended."""
        if self.sent.over:
            self._try(lambda: self._lives(self._run_id))
            self.sent.over = False
            self.sent.save(self.folder)

    def drain(self) -> None:
        """Send all records that the outbox has.

        Raises:
            Away: the store does not answer at the moment.
            Refused: the store refuses a record.
        """
        path = self.folder / "outbox.jsonl"
        if self.sent.position > path.stat().st_size:  # the outbox was replaced
            self.sent.position = 0
        waiting = list(read(path, self.sent.position))
        for kind, group in groupby(waiting, key=lambda pair: pair[0]["kind"]):
            self._send(kind, list(group))
        if self.sent.trouble:
            self.sent.trouble = None
            self.sent.save(self.folder)

    def samples(self, metrics: Sequence[tuple[dict[str, float], int]]) -> None:
        """Send measurements of the machine, each with its time in milliseconds."""
        if self.sent.run_id is None or not metrics:
            return
        first = self.sent.samples
        parts = [numbers(values, time, first + n) for n, (values, time) in enumerate(metrics)]
        self._try(lambda: self._log(self._run_id, [one for part in parts for one in part]))
        self.sent.samples += len(metrics)
        self.sent.save(self.folder)

    def end(self, status: str, time: int | None = None) -> None:
        """End the run in MLflow with a status that its process, which is gone, has not reported."""
        self._try(lambda: self._terminate(status, time))
        self.sent.over = True
        self.sent.save(self.folder)

    def _send(self, kind: str, group: list[tuple[Record, int]]) -> None:
        if kind == "epoch":
            self._try(lambda: self._epochs([record for record, _ in group]))
            self._got(group[-1][1])
            return
        for record, position in group:
            call = {"begin": self._begin, "artifact": self._artifact, "end": self._end}.get(kind)
            if call is not None:
                self._try(partial(call, record))
            self._got(position)

    def _got(self, position: int) -> None:
        self.sent.position, self.sent.trouble, self.sent.refused = position, None, None
        self.sent.save(self.folder)

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"the outbox holds what no logger wrote: {one_line(repr(error))}") from error
        except Exception as error:
            raise fault(error) from error

    @property
    def _run_id(self) -> str:
        if self.sent.run_id is None:
            raise Refused("the outbox does not begin as a run's does")
        return self.sent.run_id

    # -- what the records say ------------------------------------------------------------------------------------------

    def _begin(self, record: Record) -> None:
        from mlflow.entities import Param

        client, sent = self.client, self.sent
        sent.experiment_id = tracking_store.experiment(client, record["experiment"], self.run.parent)
        sent.run_id = self._known(record) or self._created(record)
        sent.over = False
        sent.save(self.folder)
        self._lives(sent.run_id)
        parameters = [Param(key(name), value) for name, value in record["parameters"].items()]
        tags = list((record["tags"] | versions_of(record["folder"])).items())
        for some in parts(parameters, WORDS):
            client.log_batch(sent.run_id, params=some)
        for few in parts(tags, WORDS):
            self._log(sent.run_id, [], dict(few))
        self._dataset(sent.run_id, record["dataset"])

    def _lives(self, run_id: str) -> None:
        self.client.update_run(run_id, status="RUNNING")
        self._log(run_id, [], {"kasmina.status": "running"})

    def _known(self, record: Record) -> str | None:
        """Return the id of the run in MLflow that this outbox has begun already, if any."""
        mark = str(record["id"]).replace("'", "")
        found = self.client.search_runs([str(self.sent.experiment_id)], f"tags.`{MARK}` = '{mark}'", max_results=1)
        return found[0].info.run_id if found else None

    def _created(self, record: Record) -> str:
        run = self.client.create_run(
            str(self.sent.experiment_id), record["time"], {MARK: str(record["id"])}, record["name"]
        )
        return str(run.info.run_id)

    def _dataset(self, run_id: str, facts: dict[str, str]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        tag = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(run_id, [DatasetInput(Dataset(**facts), [tag])])

    def _epochs(self, records: list[Record]) -> None:
        found = [one for record in records for one in numbers(record["metrics"], record["time"], record["step"])]
        tags: dict[str, str] = {}
        for record in records:
            tags |= record["tags"]
        for some in parts(found, METRICS):
            self._log(self._run_id, some)
        if tags:
            self._log(self._run_id, [], tags)

    def _log(self, run_id: str, metrics: Sequence[Metric], tags: dict[str, str] | None = None) -> None:
        from mlflow.entities import RunTag

        words = [RunTag(name, cut(value, TAG)) for name, value in (tags or {}).items()]
        if metrics or words:
            self.client.log_batch(run_id, metrics=metrics, tags=words)

    def _artifact(self, record: Record) -> None:
        """Send a file of the run, unless it is gone or a link leads out of the run's folder."""
        path, home = self.run / record["path"], self.run.resolve()
        if not path.is_file() or not path.resolve().is_relative_to(home):
            return
        above = path.relative_to(self.run).parent.as_posix()
        try:
            self.client.log_artifact(self._run_id, str(path), None if above == "." else above)
        except Exception as error:
            self._lacks(record["path"], error)

    def _end(self, record: Record) -> None:
        self._epochs([record])
        for name in BESIDE:
            if (self.run / name).is_file():
                self._artifact({"path": name})
        if record["status"] == "finished" and self.sent.model is None:
            self._model()
        self._terminate(record["status"], record["time"])
        self.sent.over = True

    def _model(self) -> None:
        try:
            self.sent.model = self.model(self.client, self._run_id, self.run)
        except Exception as error:
            self._lacks("the model", error)

    def _terminate(self, status: str, time: int | None) -> None:
        self._log(self._run_id, [], {"kasmina.status": status})
        self.client.set_terminated(self._run_id, STATUS.get(status, "FAILED"), time)

    def _lacks(self, what: str, error: Exception) -> None:
        """Note that the store has refused something, and go on without it.

        Raises:
            Away: the store does not answer at the moment, so that all can be tried again.
        """
        why = fault(error)
        if isinstance(why, Away):
            raise why from error
        self.sent.lacks = tuple(dict.fromkeys([*self.sent.lacks, f"{what}: {one_line(str(why))}"]))


def numbers(metrics: dict[str, float], time: int, step: int) -> list[Metric]:
    from mlflow.entities import Metric

    return [Metric(key(name), float(value), time, step) for name, value in metrics.items()]


def parts(things: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(things), most):
        yield things[start : start + most]


def versions_of(folder: str) -> dict[str, str]:
    """Return the tags by which MLflow shows the git commit of the user's own code, if it is in a repository."""
    from mlflow.utils.git_utils import get_git_branch, get_git_commit, get_git_repo_url

    if not os.path.isdir(folder):
        return {}
    found = {"commit": get_git_commit(folder), "branch": get_git_branch(folder), "repoURL": get_git_repo_url(folder)}
    return {f"mlflow.source.git.{name}": value for name, value in found.items() if value}
