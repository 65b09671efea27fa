"""Numbers and texts as a person reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmina_loggers import formatting


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (formatting.measure(0.5), "0.5000"),
        (formatting.measure(0), "0.0000"),
        (formatting.measure(2e-5), "2.00e-05"),
        (formatting.measure(math.nan), "nan"),
        (formatting.measure(None), "-"),
        (formatting.gain(0.01234), "+0.0123"),
        (formatting.gain(-4e-4), "-0.0004"),
        (formatting.flops(950), "950 FLOP"),
        (formatting.flops(4.56e9), "4.56 GFLOP"),
        (formatting.flops(999.9e9), "1 TFLOP"),
        (formatting.flops(None), "-"),
        (formatting.duration(9.96), "10 s"),
        (formatting.duration(59.7), "1 min 00 s"),
        (formatting.duration(3725), "1 h 02 min"),
        (formatting.clock(5.9), "0:05"),
        (formatting.clock(3725), "1:02:05"),
        (formatting.pace(0.0839), "84 ms each"),
        (formatting.plural(1, "epoch"), "1 epoch"),
        (formatting.plural(12_000, "parameter"), "12,000 parameters"),
        (formatting.tail("encoder.layer.3.output", 9), "…3.output"),
        (formatting.one_line("a\n\tb\x1b[1m c"), "a b [1m c"),
    ],
)
def test_says_what_is_meant(said: str, meant: str) -> None:
    assert said == meant


@given(st.floats(allow_nan=False, min_value=0))
def test_any_cost_has_a_short_name(value: float) -> None:
    assert len(formatting.duration(value)) < 400 and formatting.flops(value)
    if 1 <= value < 1e18:
        assert len(formatting.flops(value)) <= len("9.99 GFLOP") + 1


@given(st.text(max_size=40), st.integers(2, 40))
def test_a_tail_fits(text: str, width: int) -> None:
    assert len(formatting.tail(text, width)) <= width
