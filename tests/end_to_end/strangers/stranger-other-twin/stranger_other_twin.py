"""One of two distributions that offer a plugin of the same name."""

import attrs


@attrs.define(eq=False)
class Twin:
    """Proposes nothing."""
