"""``kasmina serve``: serve a registered model over HTTP."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kasmina import UsageError
from kasmina_loggers.commands import click_options

if TYPE_CHECKING:
    from mlflow import MlflowClient

LINE = 2000
"""Maximum number of characters of the printed example request."""
CHAMPION = "champion"


@click.command()
@click.option(
    "--model",
    "uri",
    help="NAME (its champion), models:/NAME@ALIAS, models:/NAME/VERSION, or a folder. [default: NAME, if there is one]",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=5001, show_default=True, help="0: one that is free.")
@click.option("--dockerfile", "folder", type=click.Path(path_type=Path), help="Write what a container build needs.")
@click_options.tracking_uri
def serve(uri: str | None, host: str, port: int, folder: Path | None, tracking_uri: str) -> None:
    """Serve a registered model over HTTP with MLflow's scoring server.

    POST /invocations predicts; GET /health and /metrics report the server's state. With --dockerfile nothing is
    served: the folder gets a Dockerfile and the model, which need no Kasmina.
    """
    click_options.need("mlflow", "uvicorn", "prometheus_fastapi_instrumentator")
    from kasmina_loggers.mlflow import tracking_store

    tracking_store.quiet()
    where = tracking_store.where(tracking_uri, Path("runs"))
    if folder:
        _write(where, uri, folder)
    else:
        _serve(where, uri, host, port)


def _serve(where: str, uri: str | None, host: str, port: int) -> None:
    from kasmina_loggers.serving import scoring_server

    with scoring_server.listen(host, port) as listening:
        with click_options.working("loading the model"):
            import torch

            from kasmina_loggers.registry.model_registry import load

            torch.set_num_threads(1)  # requests run side by side, each in a thread of its own
            with meant(where, uri) as uri:
                model = load(uri)
            app, body = scoring_server.application(model), scoring_server.example(model)
        with suppress(KeyboardInterrupt):
            address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
            click.echo(f"{uri} listens at {address}; Ctrl-C ends it")
            if body and len(body) <= LINE:
                click.echo(f"curl -H 'Content-Type: application/json' -d {shlex.quote(body)} {address}/invocations")
            sys.stdout.flush()
            scoring_server.serve(app, listening)


def _write(where: str, uri: str | None, folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty: name a new folder")
    with click_options.working("writing the model and the Dockerfile"):
        from kasmina_loggers.serving.dockerfile import write

        with meant(where, uri) as uri:
            write(uri, folder)
    click.echo(f"{folder}: {uri} and its Dockerfile; with docker at hand")
    click.echo(f"docker build -t kasmina-model {shlex.quote(str(folder))}")
    click.echo("docker run --rm -p 127.0.0.1:5001:8080 kasmina-model")


@contextmanager
def meant(where: str, uri: str | None) -> Iterator[str]:
    """Yield the URI of the model to load within the context: a folder, or a name in the store at `where`.

    Raises:
        UsageError: there is no such model, or several models may be meant.
    """
    from kasmina_loggers.registry.model_registry import has_store, nothing, registry, told

    if uri and (Path(uri) / "MLmodel").is_file():
        with told(where):
            yield uri
        return
    if uri and not uri.startswith("models:/"):
        if "/" in uri:
            raise UsageError(f"--model {uri}: is no folder of a model; models:/NAME@ALIAS names a registered one")
        uri = f"models:/{uri}@{CHAMPION}"
    if not has_store(where):
        raise UsageError(nothing(where))
    with registry(where) as client:
        yield uri or champion(client, where)


def champion(client: MlflowClient, where: str) -> str:
    """Return the URI of the champion of the only registered model.

    Raises:
        UsageError: there is no champion, or more than one model.
    """
    from kasmina_loggers.registry.model_registry import models, nothing

    found = models(client)
    if not found:
        raise UsageError(nothing(where))
    held = [f"models:/{model.name}@{alias}" for model in found for alias in sorted(model.aliases)]
    if len(found) > 1 or CHAMPION not in found[0].aliases:
        names = ", ".join(held or [f"models:/{model.name}/1" for model in found])
        raise UsageError(f"which model is to be served? --model names it: {names}")
    return f"models:/{found[0].name}@{CHAMPION}"
