"""Limits of a budget, as an option that can be read without torch."""

from __future__ import annotations

from attrs import field, frozen, validators


def _limit() -> int | None:
    return field(default=None, validator=validators.optional(validators.ge(0)))


@frozen
class Budget:
    """Limits of growth; None is no limit."""

    seeds: int | None = _limit()
    """Number of living seeds; those that fade count until they are gone."""
    parameters: int | None = _limit()
    """Number of parameters of host and seeds together, trainable or not."""
    multiply_adds: int | None = _limit()
    """Number of multiply-adds of host and seeds together in one sample's forward pass, in evaluation mode: those of
    matrix products, convolutions and attention, half of the FLOPs that torch counts."""
