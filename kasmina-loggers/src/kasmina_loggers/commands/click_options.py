"""Options and messages that the commands about MLflow share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any

import click

from kasmina import UsageError

tracking_uri = click.option(
    "--tracking-uri", default="", help="Where MLflow keeps things. [default: MLFLOW_TRACKING_URI, or runs/mlflow.db]"
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def need(*modules: str, extra: str = "mlflow") -> None:
    """Raise a UsageError that names the missing modules and the extra that installs them."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be installed: pip install 'kasmina-loggers[{extra}]'")


def working(what: str) -> AbstractContextManager[Any]:
    """Return a context manager that shows a spinner on a terminal, and nothing elsewhere."""
    from rich.console import Console

    return Console(stderr=True).status(f"{what} …")
