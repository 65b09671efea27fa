"""Delivery of an outbox's records by calls of MLflow's client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import define

from kasmina import UsageError
from kasmina_loggers.formatting import one_line
from kasmina_loggers.mlflow import tracking_store
from kasmina_loggers.mlflow.delivery_state import DeliveryState
from kasmina_loggers.mlflow.outbox import Record, read
from kasmina_loggers.mlflow.store_errors import Away, Refused, fault
from kasmina_loggers.mlflow.system_metrics import Sample
from kasmina_loggers.mlflow.value_limits import TAG, cut, key
from kasmina_loggers.registry.run_model import log_model

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

    A record whose answer was lost is sent again, and is in MLflow once: it drops a metric that it has already. All
    methods raise Away if the store does not answer at the moment, and Refused if it refuses a record.
    """

    run: Path
    folder: Path
    """Folder of the outbox."""
    sent: DeliveryState
    warn: Callable[[str], None]
    """Function that is told what MLflow has not got and will not get, and why."""

    @cached_property
    def client(self) -> MlflowClient:
        return tracking_store.client(self.sent.tracking_uri)

    def drain(self) -> None:
        """Send all records that the outbox has: successive epochs together, all else one by one."""
        path = self.folder / "outbox.jsonl"
        if self.sent.position > path.stat().st_size:  # the outbox was replaced
            self.sent.position = 0
        for kind, group in groupby(read(path, self.sent.position), key=lambda pair: pair[0]["kind"]):
            if kind == "epoch":
                records, positions = zip(*group, strict=True)
                self._send(self._epochs, records, positions[-1])
                continue
            call = {"begin": self._begin, "artifact": self._artifact, "end": self._end}.get(kind, lambda record: None)
            for record, position in group:
                self._send(call, record, position)

    def samples(self, samples: Sequence[Sample]) -> None:
        """Send measurements of the machine."""
        found = [numbers(values, time, step) for step, (values, time) in enumerate(samples, self.sent.samples)]
        with classified_errors():
            self._log([metric for metrics in found for metric in metrics])
        self.sent.samples += len(samples)
        self.sent.save(self.folder)

    def finish(self) -> None:
        """Send all records; a run whose process has gone without reporting how it ended was killed."""
        self.drain()
        if not self.sent.over and not lives(self.run):
            with classified_errors():
                self._terminate("killed")
            self.sent.save(self.folder)

    def _send(self, call: Callable[[Any], None], records: Any, position: int) -> None:
        with classified_errors():
            call(records)
        self.sent.position = position
        self.sent.save(self.folder)

    @property
    def _run_id(self) -> str:
        if self.sent.run_id is None:
            raise Refused("the outbox does not begin as a run's does")
        return self.sent.run_id

    # -- what the records say ------------------------------------------------------------------------------------------

    def _begin(self, record: Record) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        experiment = tracking_store.experiment(self.client, record["experiment"], self.run.parent)
        self.sent.run_id = self._known(experiment, record) or self._created(experiment, record)
        self.sent.over = False
        self.client.update_run(self._run_id, status="RUNNING")
        self._log(tags=record["tags"] | versions_of(record["folder"]) | {"kasmina.status": "running"})
        parameters = [Param(key(name), value) for name, value in record["parameters"].items()]
        self.client.log_batch(self._run_id, params=parameters)
        data = DatasetInput(Dataset(**record["dataset"]), [InputTag("mlflow.data.context", "training")])
        self.client.log_inputs(self._run_id, [data])

    def _known(self, experiment: str, record: Record) -> str | None:
        """Return the id of the run in MLflow that this outbox has begun already, if any."""
        mark = str(record["id"]).replace("'", "")
        found = self.client.search_runs([experiment], f"tags.`{MARK}` = '{mark}'", max_results=1)
        return found[0].info.run_id if found else None

    def _created(self, experiment: str, record: Record) -> str:
        run = self.client.create_run(experiment, record["time"], {MARK: str(record["id"])}, record["name"])
        return str(run.info.run_id)

    def _epochs(self, records: Iterable[Record]) -> None:
        found: list[Metric] = []
        tags: dict[str, str] = {}
        for record in records:
            found += numbers(record["metrics"], record["time"], record["step"])
            tags |= record["tags"]
        self._log(found, tags)

    def _log(self, metrics: Sequence[Metric] = (), tags: Mapping[str, str] = MappingProxyType({})) -> None:
        from mlflow.entities import RunTag

        words = [RunTag(name, cut(value, TAG)) for name, value in tags.items()]
        self.client.log_batch(self._run_id, metrics=metrics, tags=words)  # MLflow sends many in parts

    def _artifact(self, record: Record) -> None:
        """Send a file of the run, unless it is gone or a link leads out of the run's folder."""
        path, home = self.run / record["path"], self.run.resolve()
        if not path.is_file() or not path.resolve().is_relative_to(home):
            return
        above = path.relative_to(self.run).parent.as_posix()
        with self._dispensable(record["path"]):
            self.client.log_artifact(self._run_id, str(path), None if above == "." else above)

    def _end(self, record: Record) -> None:
        self._epochs([record])
        for name in BESIDE:
            self._artifact({"path": name})
        if record["status"] == "finished" and self.sent.model is None:
            with self._dispensable("the model"):
                self.sent.model = log_model(self.client, self._run_id, self.run)
        self._terminate(record["status"], record["time"])

    def _terminate(self, status: str, time: int | None = None) -> None:
        self._log(tags={"kasmina.status": status})
        self.client.set_terminated(self._run_id, STATUS.get(status, "FAILED"), time)
        self.sent.over = True

    @contextmanager
    def _dispensable(self, what: str) -> Iterator[None]:
        """Warn if something within the context is refused, and go on without it.

        Raises:
            Away: the store does not answer at the moment, so that all can be tried again.
        """
        try:
            yield
        except Exception as error:
            why = fault(error)
            if isinstance(why, Away):
                raise why from error
            self.warn(f"not sent is {what}: {one_line(str(why))}")


@contextmanager
def classified_errors() -> Iterator[None]:
    """Turn errors within the context into Away and Refused."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"the outbox holds what no logger wrote: {one_line(repr(error))}") from error
    except Exception as error:
        raise fault(error) from error


def numbers(metrics: dict[str, float], time: int, step: int) -> list[Metric]:
    from mlflow.entities import Metric

    return [Metric(key(name), float(value), time, step) for name, value in metrics.items()]


def lives(run: Path) -> bool:
    """Return whether a process is at work in the run's folder."""
    from kasmina.runs import Folder

    try:
        with Folder(run).locked():
            return False
    except UsageError:
        return True


def versions_of(folder: str) -> dict[str, str]:
    """Return the tags by which MLflow shows the git commit of the user's own code, if it is in a repository."""
    from mlflow.utils.git_utils import get_git_branch, get_git_commit, get_git_repo_url

    if not os.path.isdir(folder):
        return {}
    found = {"commit": get_git_commit(folder), "branch": get_git_branch(folder), "repoURL": get_git_repo_url(folder)}
    return {f"mlflow.source.git.{name}": value for name, value in found.items() if value}
