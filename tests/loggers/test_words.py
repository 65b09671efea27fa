"""Numbers and texts as a person reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmina_loggers import words


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (words.measure(0.5), "0.5000"),
        (words.measure(0), "0.0000"),
        (words.measure(2e-5), "2.00e-05"),
        (words.measure(math.nan), "nan"),
        (words.measure(None), "-"),
        (words.gain(0.01234), "+0.0123"),
        (words.gain(-4e-4), "-0.0004"),
        (words.flops(950), "950 FLOP"),
        (words.flops(4.56e9), "4.56 GFLOP"),
        (words.flops(999.9e9), "1 TFLOP"),
        (words.flops(None), "-"),
        (words.duration(9.96), "10 s"),
        (words.duration(59.7), "1 min 00 s"),
        (words.duration(3725), "1 h 02 min"),
        (words.clock(5.9), "0:05"),
        (words.clock(3725), "1:02:05"),
        (words.pace(0.0839), "84 ms each"),
        (words.plural(1, "epoch"), "1 epoch"),
        (words.plural(12_000, "parameter"), "12,000 parameters"),
        (words.tail("encoder.layer.3.output", 9), "…3.output"),
        (words.one_line("a\n\tb\x1b[1m c"), "a b [1m c"),
    ],
)
def test_says_what_is_meant(said: str, meant: str) -> None:
    assert said == meant


@given(st.floats(allow_nan=False, min_value=0))
def test_any_cost_has_a_short_name(value: float) -> None:
    assert len(words.duration(value)) < 400 and words.flops(value)
    if 1 <= value < 1e18:
        assert len(words.flops(value)) <= len("9.99 GFLOP") + 1


@given(st.text(max_size=40), st.integers(2, 40))
def test_a_tail_fits(text: str, width: int) -> None:
    assert len(words.tail(text, width)) <= width
