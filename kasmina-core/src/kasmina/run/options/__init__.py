"""Options of a run: where they come from, how they are merged and checked."""
