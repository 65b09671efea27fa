"""The loggers that Kasmina brings along: a run on the screen (`rich`) and a run on record (`jsonl`).

Each is an ordinary plugin, a module of its own name with one attrs class whose fields are its options; nothing here is
known to Kasmina by any other way than the entry points of this distribution.
"""
