"""An epoch of Kasmina's loop, with the jsonl logger, against a bare hand-written loop on the same batches."""

import itertools

import torch
from torch.nn import functional

from kasmina.run.assembly import assemble
from kasmina.run.folder import Folder
from kasmina.run.loop import train
from kasmina.run.options.config import configure
from kasmina.run.plugin_set import PluginSet

EPOCHS = 100


def test_an_epoch_of_the_loop(compare, tmp_path):
    numbers = itertools.count()

    def prepared():
        """A run of `EPOCHS` epochs that is about to begin, so that only the loop is timed."""
        config = configure(options={"controller": "never", "loggers": {"rich": False}}, epochs=EPOCHS)
        plugins = PluginSet.of(config)
        run = assemble(config, plugins, Folder.new(tmp_path / str(next(numbers)), "spirals"), print)
        run.info.folder.mkdir()
        run.plugins.hooks.on_run_start(run=run.info)
        return run

    ready = [prepared() for _ in range(34)]
    hosts = [prepared() for _ in range(34)]

    def ours() -> None:
        train(ready.pop())

    def theirs() -> None:
        run = hosts.pop()
        host, optimizer, train_split = run.host, run.optimizer, run.splits.train
        generator = torch.Generator().manual_seed(0)
        for _ in range(EPOCHS):
            order = torch.randperm(len(train_split), generator=generator)
            for index in order.tensor_split(run.info.plan.steps_per_epoch):
                optimizer.zero_grad()
                functional.cross_entropy(host(train_split.x[index]), train_split.y[index]).backward()
                optimizer.step()

    assert compare(ours, theirs, 31) <= 1.10
