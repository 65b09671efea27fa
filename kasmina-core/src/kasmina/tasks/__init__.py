"""The built-in tasks: data, a goal and a target, one task a file. Each is an attrs class with ``load() -> Data``."""
