"""Checkpoints of a run: what they contain, their format, the thread that writes them and the store that reads them."""
