"""The loggers that Kasmina brings along: a run on the screen (`rich`) and a run on record (`jsonl`).

Each is an ordinary plugin: a module of its own name with one attrs class whose fields are its options. Kasmina knows
them only by the entry points of this distribution.
"""
