"""Networks grown by a recipe with Kasmina's own engine, all initialisations in lock-step.

One network stands for all: its manager, seeds and hooks lead every member through the same stages. What differs between
members is each member's own: weights, the order of rows, what inits measure and draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from attrs import frozen
from members import Members, Whole, joined, picked
from tasks import Split, load, mlp
from torch import Tensor, nn
from torch.nn import functional

from kasmina.growth.inits import INITS
from kasmina.growth.inits.sample_matrices import ROWS
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.recorder import ActivationRecorder
from kasmina.growth.sites.find import find_sites
from kasmina.records import Site
from kasmina.run.flops import FlopMeter

FLOOR = 0.02
TRIAL = 2
"""Epochs after which the best of several candidates is chosen."""


class Sine(nn.Module):
    """sin(x), as in Sitzmann et al., "Implicit neural representations with periodic activation functions" (2020)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "sine": Sine}


@frozen
class Birth:
    epoch: int
    """After so many epochs."""
    site: str
    neurons: int = 1


@frozen
class Recipe:
    """How a network is grown: its first widths, what germinates where and when, and how it is trained."""

    task: str
    widths: tuple[int, ...]
    births: tuple[Birth, ...] = ()
    """In the order of their epochs."""
    epochs: int = 225
    rate: float = 0.04
    hold: float = 0.5
    """Share of the epochs before the learning rate begins to fall, by a cosine to 2 %."""
    batch: int = 128
    init: str = "aligned"
    activation: str = "relu"
    training: float = 0.5
    """Epochs in isolation, and of blending: a step at least."""
    blending: float = 1.0
    candidates: int = 1
    """Seeds that are tried at each birth, each in a copy of the network; the one with the least training loss stays."""


@frozen
class Outcome:
    accuracies: tuple[float, ...]
    """Of each member."""
    parameters: int
    flops: int
    """Of the training of one member, counted by torch, with that of all its candidates."""


def grow(recipe: Recipe, count: int, validation: bool) -> Outcome:
    """Trains `count` members; measures them on test, or on training rows held out, to choose hyper-parameters."""
    splits = [load(recipe.task, member if validation else None) for member in range(count)]
    data, measure = (joined([split[part] for split in splits]) for part in range(2))
    size = data.y.shape[1]
    members = Members(Whole(mlp(recipe.widths)), recipe.rate)
    members.add([fresh(recipe, member) for member in range(count)], "host.")
    manager = managed(members.whole.host, recipe, data)
    orders, draws = ([torch.Generator().manual_seed(1000 * n + i) for i in range(count)] for n in (1, 2))
    flops, births = FlopMeter(), list(recipe.births)
    owner, trial_ends = torch.arange(count), 0  # of each row of weights, the member whose it is
    for epoch in range(recipe.epochs):
        if epoch == trial_ends and len(owner) > count:
            with torch.no_grad():
                losses = members.losses(Split(data.x[owner], data.y[owner])).view(count, -1)
            members.take(losses.argmin(1) + torch.arange(count) * losses.shape[1])
            owner = torch.arange(count)
        if births and births[0].epoch == epoch:
            if recipe.candidates > 1:
                owner, trial_ends = owner.repeat_interleave(recipe.candidates), epoch + TRIAL
                members.take(owner)
            germinate(births.pop(0), recipe, members, manager, data, owner, draws)
        for group in members.optimizer.param_groups:
            group["lr"] = rate(recipe, epoch)
        order = torch.stack([torch.randperm(size, generator=generator) for generator in orders])
        for rows in order.split(recipe.batch, 1):
            count_flops(flops, manager, members.whole, picked(data, owner[:1], rows[:1]), len(owner) // count)
            members.step(picked(data, owner, rows[owner]))
            lead(manager)
    assert not births and len(owner) == count, "every seed is born and every trial ends within the epochs"
    members.whole.eval()
    with torch.no_grad():
        right = (members(measure.x).argmax(2) == measure.y).float().mean(1)
    return Outcome(tuple(right.tolist()), sum(weight[0].numel() for weight in members.weights.values()), flops.total)


def managed(host: nn.Module, recipe: Recipe, data: Split) -> Manager:
    """A manager of the network that stands for all; its own optimiser is one that never steps."""
    steps = math.ceil(data.y.shape[1] / recipe.batch)
    durations = Durations(max(1, round(recipe.training * steps)), max(1, round(recipe.blending * steps)), 1)
    places = find_sites(host, [birth.site for birth in recipe.births], data.x[0, :2])
    return Manager(places, torch.optim.SGD(host.parameters()), durations)


def germinate(
    birth: Birth,
    recipe: Recipe,
    members: Members,
    manager: Manager,
    data: Split,
    owner: Tensor,
    draws: list[torch.Generator],
) -> None:
    """A seed for every row of weights, each from what passes at the site in its own network."""
    place, build = manager.places[birth.site], neurons(birth.neurons, recipe.activation)
    bodies = []
    for number, member in enumerate(owner.tolist()):
        draw = draws[member]
        members.embody(number)
        watch = ActivationRecorder({birth.site: place}, ROWS)
        watch.start()
        rows = torch.randint(data.y.shape[1], (ROWS,), generator=draw)
        functional.cross_entropy(members.whole(data.x[member, rows]), data.y[member, rows]).backward()
        torch.manual_seed(int(torch.randint(2**60, (), generator=draw)))
        body = build(place.site)
        INITS[recipe.init](body, watch.samples()[birth.site], draw)
        bodies.append(body)
    seed = manager.germinate(birth.site, build, "neurons")
    members.whole.seeds[str(seed.id)] = seed
    members.add(bodies, f"seeds.{seed.id}.body.")


def neurons(count: int, activation: str) -> Callable[[Site], nn.Module]:
    """As the blueprint `neurons` builds them; but one alone may be a ReLU, and any activation will do."""

    def build(site: Site) -> nn.Module:
        into, out = nn.Linear(site.in_features, count), nn.Linear(count, site.out_features, bias=False)
        return nn.Sequential(into, ACTIVATIONS[activation](), out)

    return build


def lead(manager: Manager) -> None:
    """On by one step; who has blended in stays."""
    for seed in manager.seeds.values():
        seed._last_output = None  # what a seed keeps of a forward pass under `vmap` is of no use after it
    manager.after_step()
    for seed in manager.due():
        manager.keep(seed)


def count_flops(flops: FlopMeter, manager: Manager, whole: Whole, rows: Split, candidates: int) -> None:
    """Of the step that comes, on the network that stands for all: measured once for each of its versions."""
    count = rows.y.shape[1]
    if flops.version == manager.version:
        flops.rows += count * candidates
        return
    with flops.counted(count, manager.version):
        functional.cross_entropy(whole(rows.x[0]), rows.y[0]).backward()
    flops.rows += count * (candidates - 1)


def rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate of an epoch, from 0."""
    done = epoch / recipe.epochs
    if done < recipe.hold:
        return recipe.rate
    fallen = (done - recipe.hold) / (1 - recipe.hold)
    return recipe.rate * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * fallen)) / 2)


def fresh(recipe: Recipe, member: int) -> nn.Module:
    """A member's host as it begins."""
    torch.manual_seed(member)
    return mlp(recipe.widths)
