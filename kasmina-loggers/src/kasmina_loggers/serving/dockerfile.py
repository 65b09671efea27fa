"""Files of a container build: MLflow's Dockerfile, and the model."""

from __future__ import annotations

from pathlib import Path

CPU = "# Torch without the libraries of a graphics card\nENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu\n"


def write(uri: str, folder: Path) -> None:
    """Write the model and a Dockerfile to a new folder; the container serves as `mlflow models serve` does."""
    from mlflow.models.flavor_backend_registry import get_flavor_backend

    backend = get_flavor_backend(uri, env_manager="local", docker_build=True)  # type: ignore[no-untyped-call]
    backend.generate_dockerfile(uri, str(folder))
    file = folder / "Dockerfile"
    file.write_text(file.read_text().replace("WORKDIR", f"{CPU}\nWORKDIR", 1))
