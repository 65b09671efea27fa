"""A check: one rule of the contract, applied to one plugin."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from kasmina.plugins.messages import one_line


@frozen(eq=False)
class Check:
    """A function without arguments that raises AssertionError, with one sentence, if the plugin breaks the rule."""

    name: str
    rule: str
    """Rule, as a clause that must be true."""
    look: Callable[[], int | None]
    """Function that raises any exception where the rule is broken, and may return the number of sites that it tried."""

    @property
    def __name__(self) -> str:
        return self.name  # shown by pytest

    def __call__(self) -> int | None:
        """Return the number of sites at which the rule was checked; None if it is not about sites.

        Raises:
            AssertionError: The plugin breaks the rule.
        """
        try:
            return self.look()
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{self.rule}; but {seen(error)}") from error


def seen(error: BaseException) -> str:
    """Return what an assertion says, or what a plugin raised, on one line."""
    line = one_line(error)
    return line.removeprefix("AssertionError: ") if isinstance(error, AssertionError) else f"it raised {line}"
