"""A run for TensorBoard; `logger` is the plugin, the other modules are what it writes, one kind each."""

from kasmina_loggers.tensorboard.logger import TensorBoard

__all__ = ["TensorBoard"]
