"""Trained runs, read back from their folders by those who serve, register or study them.

For example, the accuracy on the test split of the run in ``runs/first``::

    from kasmina.runs import evaluate, restore

    trained = restore(Path("runs/first"))
    loss, accuracy = evaluate(trained.host, trained.objective, trained.splits.test)
"""

from kasmina.run.folder import Folder
from kasmina.run.inference import InferenceModel, endings
from kasmina.run.inference_program import inference_program
from kasmina.run.objective import evaluate
from kasmina.run.restore import Trained, restore

__all__ = ["Folder", "InferenceModel", "Trained", "endings", "evaluate", "inference_program", "restore"]
