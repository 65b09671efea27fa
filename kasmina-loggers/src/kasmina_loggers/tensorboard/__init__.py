"""A run in TensorBoard: `logger` is the plugin, and each other module makes one kind of what it writes."""

from kasmina_loggers.tensorboard.logger import TensorBoard

__all__ = ["TensorBoard"]
