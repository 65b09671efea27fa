"""Errors of a store: nobody answers, or the call is refused."""

from __future__ import annotations

from kasmina_loggers.formatting import one_line

MOST = 300
AGAIN = (408, 425, 429)
"""HTTP status codes that ask to try again later."""


class Refused(Exception):
    """Refusal of the store, for good; the message says why."""


class Away(Exception):
    """Absence of the store, for the moment; the message says why."""


def fault(error: Exception) -> Exception:
    """Return the error as Refused or Away; any other, such as a bug's, as it is."""
    if isinstance(error, (Refused, Away)):
        return error
    from mlflow import MlflowException
    from requests import RequestException

    if isinstance(error, MlflowException):
        status = int(error.get_http_status_code())  # type: ignore[no-untyped-call]
    elif isinstance(error, RequestException):
        status = 503 if error.response is None else error.response.status_code
    elif isinstance(error, OSError):
        status = 503  # a full disk, say
    else:
        return error
    refused = 400 <= status < 500 and status not in AGAIN
    return (Refused if refused else Away)(sentence(error))


def sentence(error: Exception) -> str:
    """Return the innermost reason of an error, shortened."""
    words = one_line(str(error))
    for mark in ("Failed to establish a new connection: ", "(Caused by "):
        words = words.rpartition(mark)[2]
    return words.rstrip(")\"' ")[:MOST]
