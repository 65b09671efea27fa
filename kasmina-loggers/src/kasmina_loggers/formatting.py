"""Readable numbers and texts as plain strings, without colours."""

from __future__ import annotations

import math

NOTHING = "-"


def measure(value: float | None) -> str:
    """Return a loss or a metric with four decimals, or in powers of ten if it is very small or large."""
    if value is None:
        return NOTHING
    number = float(value)
    plain = number == 0 or 1e-3 <= abs(number) < 1e4 or not math.isfinite(number)
    return format(number, ".4f" if plain else ".2e")


def gain(value: float | None) -> str:
    """Return a contribution with its sign and four decimals, even if all of them are 0: it makes no difference then."""
    return NOTHING if value is None else format(float(value), "+.4f" if abs(value) < 1e4 else "+.2e")


def brief(value: float | None) -> str:
    """Return a chosen number, such as a target or a learning rate, without trailing zeros."""
    return NOTHING if value is None else f"{float(value):.3g}"


def count(value: float | None) -> str:
    """Return a number of things, with commas."""
    return NOTHING if value is None or not math.isfinite(value) else f"{int(value):,}"


def plural(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def flops(value: float | None) -> str:
    """Return floating-point operations in the unit that leaves one to three digits before the point."""
    if value is None or not math.isfinite(value):
        return NOTHING
    number, units = float(value), ["", "k", "M", "G", "T", "P", "E"]
    while abs(number) >= 999.5 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.3g} {units[0]}FLOP"


def duration(seconds: float | None) -> str:
    """Return a length of time in its two largest units; tenths only below ten seconds."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def clock(seconds: float) -> str:
    """Return a running time in a width that hardly changes: 0:05, 12:41, 3:00:09."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def pace(seconds: float) -> str:
    """Return the duration of one of many short things, in milliseconds."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.{0 if milliseconds >= 9.95 else 1}f} ms each"


def one_line(text: str) -> str:
    """Return a stranger's text without line breaks and control characters, which could disturb a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def tail(text: str, width: int) -> str:
    """Return the last `width` characters of a text: the last part of a site's name says most."""
    return text if len(text) <= width else f"…{text[1 - width:]}"
