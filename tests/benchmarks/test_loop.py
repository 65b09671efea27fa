"""Kasmina's loop, with the jsonl logger, against the loop that one writes by hand with torch alone.

Both train the same host on equal batches. The bare loop does what any sensible loop does, and no more: it shuffles,
takes a batch by index, goes forward and backward, steps with torch's fused AdamW and adds up the loss of each step. At
an epoch's end it has the mean train loss, and measures loss and metric on the validation split in evaluation mode. It
writes nothing, draws from one generator, and looks for nothing that could go wrong.
"""

import itertools

import torch
from torch.nn import functional

from kasmina.run.assembly import assemble
from kasmina.run.folder import Folder
from kasmina.run.loop import train
from kasmina.run.options.config import configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.training import Training

EPOCHS, ROUNDS = 20, 101


def test_the_training_loop(compare, tmp_path):
    numbers = itertools.count()

    def prepared() -> Training:
        """Return a run of `EPOCHS` epochs that is about to begin, so that only the loop is timed."""
        config = configure(options={"controller": "never", "loggers": {"rich": False}}, epochs=EPOCHS)
        plugins = PluginSet.of(config)
        run = assemble(config, plugins, Folder.new(tmp_path / str(next(numbers)), "spirals"), print)
        run.info.folder.mkdir()
        run.plugins.hooks.on_run_start(run=run.info)
        return run

    ready, bare = ([prepared() for _ in range(ROUNDS + 3)] for _ in range(2))
    ended = []

    def ours() -> None:
        run = ready.pop()
        train(run)
        ended.append(run)

    def theirs() -> None:
        run = bare.pop()
        train_bare(run)
        ended.append(run)

    ratio = compare(ours, theirs, ROUNDS)
    for run in ended:  # the logger's files are closed
        run.plugins.hooks.on_run_end(run=run.info, summary={})
    assert ratio <= 1.10


def train_bare(run: Training) -> list[tuple[float, float, float]]:
    """Train the host of a run as one does by hand; return train loss, validation loss and accuracy of each epoch."""
    host, steps = run.host, run.info.plan.steps_per_epoch
    train_split, validation = run.splits.train, run.splits.validation
    settings = run.optimizer.defaults
    optimizer = torch.optim.AdamW(
        host.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"], fused=True
    )
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(EPOCHS):
        host.train()
        total = 0.0
        for index in torch.randperm(len(train_split), generator=generator).tensor_split(steps):
            optimizer.zero_grad()
            loss = functional.cross_entropy(host(train_split.x[index]), train_split.y[index])
            loss.backward()
            optimizer.step()
            total += loss.item()
        host.eval()
        with torch.no_grad():
            outputs = host(validation.x)
            measured = functional.cross_entropy(outputs, validation.y).item()
            accuracy = (outputs.argmax(1) == validation.y).float().mean().item()
        found.append((total / steps, measured, accuracy))
    return found
