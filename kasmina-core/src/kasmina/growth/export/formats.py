"""File formats that a plain network can be written in."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor

from kasmina.errors import UsageError
from kasmina.growth.export.graph import bare
from kasmina.growth.export.lower import direct
from kasmina.growth.export.plain import Plain
from kasmina.growth.export.program import program

Run = Callable[[Tensor], Tensor]


class Format(Protocol):
    @property
    def suffix(self) -> str: ...

    @property
    def exact(self) -> bool:
        """Whether an unfolded file computes the same bits as the host, as torch does."""

    def write(self, plain: Plain, x: Tensor) -> tuple[bytes, Run]:
        """Return the content of the file, and the function that it computes."""


@frozen
class Torch:
    """A pickled module: ``torch.load(file, weights_only=False)``."""

    suffix: str = ".pt"
    exact: bool = True

    def write(self, plain: Plain, x: Tensor) -> tuple[bytes, Run]:
        module = direct(plain.module)
        if plain.live:
            live = program(plain.module, x).module(check_guards=False)
            module = bare(live, live.graph)
        file = io.BytesIO()
        torch.save(module, file)
        return file.getvalue(), module


@frozen
class Pt2:
    """A program of torch.export: ``torch.export.load(file).module()``."""

    suffix: str = ".pt2"
    exact: bool = True

    def write(self, plain: Plain, x: Tensor) -> tuple[bytes, Run]:
        exported = program(plain.module, x)
        file = io.BytesIO()
        torch.export.save(exported, file)
        return file.getvalue(), exported.module()


@frozen
class Onnx:
    """A graph for onnxruntime, which reads ``x`` and returns ``y``."""

    suffix: str = ".onnx"
    exact: bool = False

    def write(self, plain: Plain, x: Tensor) -> tuple[bytes, Run]:
        import onnxruntime

        with quiet():
            exported = torch.onnx.export(
                program(plain.module, x), dynamo=True, input_names=["x"], output_names=["y"], verbose=False
            )
        assert exported is not None
        proto = exported.model_proto
        for node in [*proto.graph.node, *(node for function in proto.functions for node in function.node)]:
            del node.metadata_props[:]  # classes, files and lines of the code that it came from
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
        content = proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return content, lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter's messages about missing libraries and deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


FORMATS: dict[str, Format] = {"torch": Torch(), "pt2": Pt2(), "onnx": Onnx()}


def find_format(name: str) -> Format:
    """Return the format of that name.

    Raises:
        UsageError: what it needs is not installed.
    """
    missing = [need for need in ("onnx", "onnxscript", "onnxruntime") if name == "onnx" and find_spec(need) is None]
    if missing:
        raise UsageError(f"--format onnx needs {' and '.join(missing)}: pip install 'kasmina-core[onnx]'")
    return FORMATS[name]
