"""Rollback: a run goes back to its last good state, and the cause of the fault is dealt with."""

from __future__ import annotations

from operator import attrgetter

from kasmina.errors import KasminaError
from kasmina.records import Incident, SeedState
from kasmina.run.checkpoints.contents import restore_plugins, restore_state
from kasmina.run.checkpoints.packing import Packed
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.training import Training


def roll_back(run: Training, good: Packed, fault: TrainingFault) -> None:
    """Go back to a good state, and deal with the cause of a fault.

    A seed that is to blame is culled at once, and its site cools down. If no seed is, the learning rate is halved.

    Raises:
        KasminaError: The run has gone back as often as it is allowed to.
    """
    governor = run.governor
    alive = [seed.state for seed in run.growth.live_seeds if seed.id in fault.seeds]
    blamed = max(alive, key=attrgetter("id"), default=None)
    if blamed is None and governor.returns >= governor.options.returns:
        back = f"the run has gone back {governor.returns} times, and stops with the last good state"
        raise KasminaError(f"{fault}; {back} saved") from fault
    go_back(run, good)
    governor.forget_epoch()
    _tell(run, str(fault), _ease(run) if blamed is None else _cull(run, blamed, str(fault)), blamed)


def go_back(run: Training, good: Packed) -> None:
    """Restore run and plugins to a good state."""
    state = good.unpacked()
    restore_state(run, state)
    restore_plugins(run, state)


def _ease(run: Training) -> str:
    """Halve the learning rate, and return a clause that says so."""
    run.governor.returns += 1
    return f"the learning rate is multiplied by {run.governor.rate:g} from now on"


def _cull(run: Training, seed: SeedState, reason: str) -> str:
    """Cull a seed and have its site cool down, and return a clause that says so."""
    run.growth.germination.cool_down(seed.site)
    if any(one.id == seed.id for one in run.growth.live_seeds):  # the seed may be younger than the restored state
        run.growth.cut(seed.id, reason)
    return f"seed {seed.id} is culled, and {seed.site} rests"


def _tell(run: Training, reason: str, action: str, seed: SeedState | None) -> None:
    growth = run.growth
    incident = Incident(
        epoch=growth.epoch,
        step=growth.step,
        phase=growth.phase,
        kind="rollback",
        reason=reason,
        action=f"back to step {growth.step}; {action}",
        site=seed.site if seed else None,
        seed=seed.id if seed else None,
    )
    run.plugins.hooks.on_incident(incident=incident)
