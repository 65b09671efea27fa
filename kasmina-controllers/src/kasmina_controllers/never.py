"""No growth, as a baseline."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Never:
    """Never germinates: the host trains alone, for comparison."""
