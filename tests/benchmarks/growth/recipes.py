"""The recipes that are compared: a best one for each task, and each part of it changed alone."""

from __future__ import annotations

from itertools import cycle, islice

from attrs import evolve, frozen
from train import Birth, Recipe


@frozen
class Row:
    part: str
    """What the row is about."""
    name: str
    recipe: Recipe


def every(gap: int, *sites: str, count: int, neurons: int = 1, first: int | None = None) -> tuple[Birth, ...]:
    """`count` births every `gap` epochs, at the sites in turn."""
    begin = gap if first is None else first
    return tuple(Birth(begin + gap * n, site, neurons) for n, site in enumerate(islice(cycle(sites), count)))


ROUND, WIDER = "0:4", ("0:2", "2:4")
"""From the input to the classes; and into and out of the second hidden layer, as in a network of wider layers."""
IN_TURN = ("0:1", "0:4", "2:4")
""""0:1" adds to what the first hidden layer gives, so that later seeds at "2:4" read it too."""

NEVER = Recipe("spirals", (2, 4, 4, 2))
GROWN = evolve(NEVER, births=every(4, ROUND, count=16))
SINE = evolve(NEVER, births=every(2, *IN_TURN, count=11), activation="sine", epochs=60)
SPIRALS = [
    Row("from scratch", "2-8-9-2", Recipe("spirals", (2, 8, 9, 2))),
    Row("from scratch", "2-24-2", Recipe("spirals", (2, 24, 2))),
    Row("from scratch", "2-24-2, rate .08", Recipe("spirals", (2, 24, 2), rate=0.08)),
    Row("never grown", "2-4-4-2", NEVER),
    Row("**grown**", "ReLU, one every 4 epochs, 0:4, aligned, .5 + 1 epochs", GROWN),
    Row("**grown**", "sine, one every 2 of 60 epochs, 0:1, 0:4, 2:4 in turn", SINE),
    Row("**grown**", "the same, of 40 epochs", evolve(SINE, epochs=40)),
    *(Row("init", init, evolve(GROWN, init=init)) for init in ("orthogonal", "tiny", "zero_out", "gradmax")),
    Row("isolation", "1 step", evolve(GROWN, training=0)),
    Row("isolation", "2 epochs", evolve(GROWN, training=2)),
    Row("isolation", "5 epochs (so one every 7)", evolve(GROWN, training=5, births=every(7, ROUND, count=16))),
    Row("ramp", "1 step", evolve(GROWN, blending=0)),
    Row("ramp", "3 epochs", evolve(GROWN, blending=3)),
    Row("timing", "one every 2 epochs", evolve(GROWN, births=every(2, ROUND, count=16))),
    Row("timing", "one every 7 epochs", evolve(GROWN, births=every(7, ROUND, count=16))),
    Row("timing", "4 every 16 epochs", evolve(GROWN, births=every(16, ROUND, count=4, neurons=4))),
    Row("timing", "16 at epoch 0", evolve(GROWN, births=(Birth(0, ROUND, 16),))),
    Row("timing", "16 at epoch 0, zero_out", evolve(GROWN, births=(Birth(0, ROUND, 16),), init="zero_out")),
    Row("site", "0:2, 2:4 in turn", evolve(GROWN, births=every(4, *WIDER, count=11))),
    Row("site", "0:1, 2:4 in turn", evolve(GROWN, births=every(4, "0:1", "2:4", count=11))),
    Row("site", "0:1, 0:4, 2:4 in turn", evolve(GROWN, births=every(4, *IN_TURN, count=12))),
    Row("activation", "tanh", evolve(GROWN, activation="tanh")),
    Row("activation", "gelu", evolve(GROWN, activation="gelu")),
    Row("activation", "sine", evolve(GROWN, activation="sine")),
    Row("best of m", "4, aligned", evolve(GROWN, candidates=4)),
    Row("best of m", "8, zero_out", evolve(GROWN, candidates=8, init="zero_out")),
]

SMALL = Recipe(
    task="digits",
    widths=(64, 4, 10),
    births=every(1, "0:2", count=3, neurons=4),
    epochs=45,
    rate=0.02,
    batch=64,
    training=0.2,
    blending=0.7,
)
SHORT = evolve(SMALL, epochs=25)
WIDE = evolve(SMALL, widths=(64, 16, 10), births=())
DIGITS = [
    Row("from scratch", "64-16-10, 70 epochs, rate .01, cosine", evolve(WIDE, epochs=70, rate=0.01, hold=0.0)),
    Row("from scratch", "64-16-10, 45 epochs", WIDE),
    Row("from scratch", "64-16-10, 25 epochs", evolve(WIDE, epochs=25)),
    Row("never grown", "64-4-10, 45 epochs", evolve(SMALL, births=())),
    Row("**grown**", "4 neurons after epochs 1, 2 and 3 of 45, aligned, .2 + .7 epochs", SMALL),
    Row("**grown**", "the same, of 25", SHORT),
    *(
        Row("init", f"{init}, 25 epochs", evolve(SHORT, init=init))
        for init in ("orthogonal", "tiny", "zero_out", "gradmax")
    ),
    Row("isolation", "1 step, 25 epochs", evolve(SHORT, training=0)),
    Row("ramp", "1 step, 25 epochs", evolve(SHORT, blending=0)),
    Row("timing", "after epochs 2, 4 and 6 of 25", evolve(SHORT, births=every(2, "0:2", count=3, neurons=4))),
    Row("timing", "12 at epoch 0 of 25", evolve(SHORT, births=(Birth(0, "0:2", 12),))),
    Row("activation", "gelu, 25 epochs", evolve(SHORT, activation="gelu")),
]
TABLES = {"spirals": SPIRALS, "digits": DIGITS}
