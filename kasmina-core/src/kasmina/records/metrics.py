"""Numbers of an epoch."""

from __future__ import annotations

from attrs import frozen

from kasmina.records.observation import SeedState


@frozen
class Metrics:
    """Numbers of one epoch, which every logger is given."""

    train_loss: float
    """Mean over the epoch's batches, as they were trained on."""
    validation_loss: float
    validation_metric: float
    metric: str
    """Name of the metric, such as "accuracy"."""
    learning_rate: float
    parameters: int
    """Number of parameters of the host and its seeds."""
    flops: int
    """Number of floating-point operations that the run has spent on training so far."""
    seeds: tuple[SeedState, ...] = ()

    def as_dict(self) -> dict[str, float]:
        """Return all numbers by flat names: "train/loss", "validation/accuracy", "seed/1/alpha", ..."""
        numbers = {
            "train/loss": self.train_loss,
            "validation/loss": self.validation_loss,
            f"validation/{self.metric}": self.validation_metric,
            "learning_rate": self.learning_rate,
            "parameters": self.parameters,
            "flops": self.flops,
        }
        for seed in self.seeds:
            numbers[f"seed/{seed.id}/alpha"] = seed.alpha
            if seed.contribution is not None:
                numbers[f"seed/{seed.id}/contribution"] = seed.contribution
        return numbers
