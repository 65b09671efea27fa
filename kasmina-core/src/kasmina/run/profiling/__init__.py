"""Profile of a run: what is recorded, how it is annotated and printed."""
