"""Whose the time of training steps was, from a trace with the ranges of `kasmina.run.profiling.annotations`."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from kasmina.run.profiling.annotations import HOST, KASMINA, LOSS, PLUGINS, SEED, STEP

OPTIMISER, DATA = "optimiser", "data"
BACKWARD = "autograd::engine::evaluate_function"
"""How the names begin of what autograd does, one node of the graph after the other."""
RANK = {HOST: 0, LOSS: 0, SEED: 1, OPTIMISER: 2, DATA: 2, KASMINA: 2, PLUGINS: 3}
"""What is done within something of a higher rank is that one's: Kasmina may measure the host."""

Event = Mapping[str, Any]
"""Of a Chrome trace: what has a `dur` happened from `ts` on, both in microseconds."""


@frozen
class Piece:
    """A time, in microseconds, that is somebody's."""

    start: float
    end: float
    owner: str


def pieces_of(trace: Sequence[Event]) -> list[Piece]:
    """The steps of a trace, cut without gaps into pieces of "host", "seed 1", …, "loss", "optimiser", "data" (the batch
    is picked), "plugins" and "Kasmina": all else.
    """
    timed = sorted((e for e in trace if "dur" in e), key=lambda e: (e["ts"], -e["dur"]))
    return [piece for step in timed if step["name"] == STEP for piece in _cut(step, timed)]


def shares_of(pieces: Sequence[Piece], trace: Sequence[Event]) -> dict[str, float]:
    """By owner, the largest first; they sum up to 1.

    The time for which Kasmina waits for a GPU belongs to those whose work it waits for.
    """
    time: Counter[str] = Counter()
    for piece in pieces:
        time[piece.owner] += piece.end - piece.start  # type: ignore[assignment]
    for waits, works, duration in _waits(pieces, trace):
        time[waits] -= duration  # type: ignore[assignment]
        time[works] += duration  # type: ignore[assignment]
    return {owner: spent / time.total() for owner, spent in time.most_common()}


def _cut(step: Event, timed: Sequence[Event]) -> list[Piece]:
    sweep = _Sweep(step["ts"])
    for event in _within(step, timed):
        sweep.see(event)
    sweep.end(_end(step))
    return sweep.pieces


def _within(step: Event, timed: Sequence[Event]) -> Iterator[Event]:
    first = bisect_right(timed, step["ts"], key=lambda e: e["ts"])
    for event in timed[first:]:
        if event["ts"] >= _end(step):
            return
        if event.get("cat") in ("cpu_op", "user_annotation"):
            yield event


def _end(event: Event) -> float:
    return float(event["ts"] + event["dur"])


@frozen
class _Part:
    """What is going on at a moment of a step."""

    end: float
    owner: str
    backward: bool


@define
class _Sweep:
    """Goes through the events of one step in the order of their beginnings.

    What is done in the backward pass belongs to whose forward pass it goes back through: a node of the graph has the
    sequence number of the last operation that has it. A node that adds to the gradient of a parameter has none, and
    comes right after the one that it is from.
    """

    _at: float
    pieces: list[Piece] = field(factory=list, init=False)
    _open: list[_Part] = field(factory=list, init=False)
    _owners: dict[int, str] = field(factory=dict, init=False)
    """Of the operations of the forward pass, by sequence number."""
    _node: str = field(default=HOST, init=False)
    """Whose the last node was."""
    _flows: bool = field(default=False, init=False)
    """Whether what ended last was the loss or a node."""

    def see(self, event: Event) -> None:
        start, number = event["ts"], event.get("args", {}).get("Sequence number")
        self._until(start)
        here = self._open[-1] if self._open else None
        backward = event["name"].startswith(BACKWARD)
        if backward:
            owner: str | None = self._owners.get(number, self._node)
        else:
            if number is not None:
                self._owners[number] = here.owner if here else KASMINA
            owner = _owner(event["name"], not here)
        if owner is None or (here and _rank(owner) < _rank(here.owner)):
            return
        if backward:
            self._node = owner
        # On the way to a node autograd is at work, and on that to the optimiser's range what it does before it.
        ahead = owner == OPTIMISER or (backward and self._flows)
        self._piece(start, here.owner if here else owner if ahead else KASMINA)
        self._open.append(_Part(min(_end(event), here.end) if here else _end(event), owner, backward))

    def end(self, time: float) -> None:
        self._until(time)
        self._piece(time, self._open[-1].owner if self._open else KASMINA)

    def _until(self, time: float) -> None:
        while self._open and self._open[-1].end <= time:
            part = self._open.pop()
            self._piece(part.end, part.owner)
            if not self._open:
                self._flows = part.backward or part.owner == LOSS

    def _piece(self, end: float, owner: str) -> None:
        if end > self._at:
            self.pieces.append(Piece(self._at, end, owner))
            self._at = end


def _owner(name: str, top: bool) -> str | None:
    """Whose an event is by its name; None: of whoever it happens within. `top`: it is directly within the step."""
    if name in (HOST, LOSS) or name.startswith(f"{SEED} "):
        return name
    if name.startswith("Optimizer."):
        return OPTIMISER
    if top and name == "aten::index":
        return DATA
    return next((who for who in (KASMINA, PLUGINS) if name.startswith(f"{who} ")), None)


def _rank(owner: str) -> int:
    return RANK[owner.split()[0]]


# -- waiting for a GPU -------------------------------------------------------------------------------------------------


def _waits(pieces: Sequence[Piece], trace: Sequence[Event]) -> Iterator[tuple[str, str, float]]:
    """Who waits for a GPU, for whose work, and for how many microseconds."""
    calls = [e for e in trace if e.get("cat") in ("cuda_runtime", "cuda_driver")]
    launched = {e["args"].get("correlation"): owner for e in calls if (owner := _owner_at(pieces, e["ts"]))}
    works = sorted((e for e in trace if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")), key=_end)
    for call in calls:
        waits = _owner_at(pieces, call["ts"])
        if waits is None or not ("Synchronize" in call["name"] or "Memcpy" in call["name"]):
            continue
        for work in works[bisect_right(works, call["ts"], key=_end) :]:
            if work["ts"] >= _end(call):
                break
            owner = launched.get(work["args"].get("correlation"))
            if owner:
                yield waits, owner, min(_end(work), _end(call)) - max(work["ts"], call["ts"])


def _owner_at(pieces: Sequence[Piece], time: float) -> str | None:
    number = bisect_right(pieces, time, key=lambda piece: piece.start) - 1
    return pieces[number].owner if number >= 0 and time < pieces[number].end else None
