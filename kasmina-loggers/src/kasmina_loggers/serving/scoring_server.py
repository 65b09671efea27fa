"""MLflow's scoring server, hardened for requests of strangers."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from kasmina import UsageError
from kasmina_loggers.formatting import one_line
from kasmina_loggers.serving.request_limits import Limited, refusal

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response
    from mlflow.pyfunc import PyFuncModel

TYPES = "application/json or text/csv"
FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Exceptions that MLflow's parsers let through when a body is malformed."""
FOREIGN = ("/docs", "/docs/oauth2-redirect", "/redoc")
"""Pages of FastAPI that would make the browser load files from other sites."""


def application(model: PyFuncModel) -> FastAPI:
    """Return MLflow's app for the model, with limits on bodies, ``/metrics`` for Prometheus and clear errors."""
    from mlflow.pyfunc import scoring_server
    from prometheus_fastapi_instrumentator import Instrumentator

    app: FastAPI = scoring_server.init(model)
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") not in FOREIGN]
    app.add_middleware(Limited, numeric=numeric(model))
    for fault in FAULTS:
        app.add_exception_handler(fault, misunderstood)
    Instrumentator(excluded_handlers=["/metrics"]).instrument(app).expose(app)
    return app


def numeric(model: PyFuncModel) -> bool:
    """Return whether all inputs of the model are numbers."""
    schema = model.metadata.signature and model.metadata.signature.inputs
    return bool(schema) and not any(str(kind).lower() in ("string", "datatype.string") for kind in schema.input_types())


async def misunderstood(request: Request, error: Exception) -> Response:
    if "content-type" not in request.headers:
        return refusal(415, f"the request has no content-type: {TYPES} is due")
    reason = one_line(f"{type(error).__name__}: {error}")[:300]
    return refusal(400, f"the body is not what its content-type says: {reason}")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections from now on.

    Raises:
        UsageError: the port is taken, or the host is not an address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if isinstance(number, int) and number > 0 else error
        raise UsageError(f"cannot listen at {host}:{port} ({reason}): choose another --port or --host") from error
    # Connections inherit it; without it the second part of each answer waits 40 ms for the first's acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C, which is raised again after an orderly end."""
    import uvicorn

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # the client hears what is wrong with its request
    config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listening])


def example(model: PyFuncModel) -> str | None:
    """Return a body that the model takes: one row of its input example; None if it has none."""
    from mlflow.models import convert_input_example_to_serving_input

    rows: Any = model.input_example
    body = None if rows is None else convert_input_example_to_serving_input(rows[:1])
    return body and " ".join(body.split())
