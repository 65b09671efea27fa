"""``kasmina sync``: send to MLflow what it has missed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kasmina import KasminaError, UsageError
from kasmina.cli import common

WAIT = 40
"""Seconds to wait for another process that is sending: a run's sender that finds the server away ends sooner."""

if TYPE_CHECKING:
    from kasmina_loggers.mlflow.delivery_state import DeliveryState


@click.command()
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--tracking-uri",
    metavar="URI",
    help="Where to. [default: MLFLOW_TRACKING_URI, or the SQLite file next to the runs]",
)
def sync(runs: tuple[Path, ...], tracking_uri: str | None) -> None:
    """Send to MLflow what it has missed.

    RUN is the folder of a run that was logged with --logger mlflow while the server was away; the default is all runs
    in the folder 'runs'. What a server has already is not sent twice; another server gets the whole run.
    """
    failed: KasminaError | None = None
    for run in runs or found(Path("runs")):
        try:
            click.echo(synced(run, tracking_uri or ""))
        except KasminaError as error:  # the other runs are sent all the same
            if failed:
                click.echo(f"kasmina: {failed}", err=True)
            failed = error
    if failed:
        raise failed


def found(runs: Path) -> list[Path]:
    """Return the runs in a folder that have anything for MLflow.

    Raises:
        UsageError: there are no such runs.
    """
    folders = sorted(path.parents[1] for path in runs.glob("*/mlflow/outbox.jsonl"))
    if not folders:
        raise UsageError(f"no run in {runs.absolute()} has anything for MLflow; name the folder of one that has")
    return folders


def synced(run: Path, said: str) -> str:
    """Send what is left of one run, and return the message about it.

    Args:
        run: folder of the run.
        said: the tracking URI that the user typed, or an empty text.

    Raises:
        UsageError: there is nothing to send, another process is sending, or it is not clear where the run belongs.
        KasminaError: the server is away, or refuses the run.
    """
    from filelock import FileLock, Timeout

    from kasmina_loggers.mlflow import tracking_store

    tracking_store.quiet()
    from kasmina_loggers.mlflow.delivery_state import DeliveryState
    from kasmina_loggers.mlflow.outbox import own_folder

    if not run.is_dir():
        raise UsageError(f"there is no folder {run}: name the folder of a run")
    if not (run / "mlflow" / "outbox.jsonl").is_file():
        raise UsageError(f"{run} has nothing for MLflow; 'kasmina run --logger mlflow' makes runs that have")
    folder, uri = own_folder(run), tracking_store.where(said, run.absolute().parent)
    try:
        with FileLock(folder / ".lock", timeout=WAIT):
            sent = DeliveryState.load(folder)
            if is_complete(folder, sent) and (not said or sent.tracking_uri == uri):
                return f"{run}: all was sent already, as run {sent.run_id} of {sent.tracking_uri}"
            if sent.tracking_uri not in ("", uri):
                check_consent(run, sent.tracking_uri, uri, said)
                sent = DeliveryState()
            sent.tracking_uri = uri
            return delivered(run, folder, sent)
    except Timeout as error:
        raise UsageError(f"another process is sending {run}; wait until it ends") from error


def is_complete(folder: Path, sent: DeliveryState) -> bool:
    return sent.over and sent.position == (folder / "outbox.jsonl").stat().st_size


def check_consent(run: Path, there: str, uri: str, said: str) -> None:
    """Check that the user has typed a tracking URI: the one in the file may come from a stranger.

    Raises:
        UsageError: the user has typed no tracking URI.
    """
    from kasmina_loggers.mlflow.sender_process import sync_command

    if not said:
        again, here = sync_command(run, there), sync_command(run, uri)
        raise UsageError(f"{run} was begun at {there}: '{again}' goes on there, and '{here}' sends all of it to here")


def delivered(run: Path, folder: Path, sent: DeliveryState) -> str:
    from kasmina_loggers.mlflow.client import TrackingClient
    from kasmina_loggers.mlflow.store_errors import Away, Refused

    try:
        TrackingClient(run, folder, sent, common.warn).finish()
    except Away as error:
        raise KasminaError(f"{sent.tracking_uri} does not answer: {error}; nothing is lost, try again later") from error
    except Refused as error:
        raise KasminaError(f"{sent.tracking_uri} does not take {run}: {error}") from error
    return f"{run}: all is sent, as run {sent.run_id} of {sent.tracking_uri}"
