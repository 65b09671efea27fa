"""Built-in tasks, one in each file: attrs classes with ``load() -> Data``."""
