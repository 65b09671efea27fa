"""One rule of the contract, applied to one plugin."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from kasmina.plugins.messages import one_line


@frozen(eq=False)
class Check:
    """Called, it returns if the plugin keeps the rule, and raises AssertionError with one sentence if not."""

    name: str
    rule: str
    """What must be true, as a clause."""
    look: Callable[[], None]
    """Raises whatever it likes where the rule is broken."""

    @property
    def __name__(self) -> str:
        return self.name  # what pytest shows

    def __call__(self) -> None:
        try:
            self.look()
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{self.rule}; but {seen(error)}") from error


def seen(error: BaseException) -> str:
    """What an assertion says, or what a plugin raised, on one line."""
    line = one_line(error)
    return line.removeprefix("AssertionError: ") if isinstance(error, AssertionError) else f"it raised {line}"
