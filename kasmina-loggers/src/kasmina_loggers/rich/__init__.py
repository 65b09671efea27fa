"""The run on the screen: live on a terminal, plain lines into a pipe."""

from kasmina_loggers.rich.logger import Rich

__all__ = ["Rich"]
