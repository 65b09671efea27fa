"""The limits of a budget, as an option: known before torch is."""

from __future__ import annotations

from attrs import field, frozen, validators


def _limit() -> int | None:
    return field(default=None, validator=validators.optional(validators.ge(0)))


@frozen
class Budget:
    """At most so much; None: no limit."""

    seeds: int | None = _limit()
    """Living ones: those that fade count until they are gone."""
    parameters: int | None = _limit()
    """Of host and seeds together, trainable or not."""
    multiply_adds: int | None = _limit()
    """Of host and seeds together in one sample's forward pass, in evaluation mode: those of matrix products,
    convolutions and attention, half of the FLOPs that torch counts."""
