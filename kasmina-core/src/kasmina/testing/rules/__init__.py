"""The rules of a seed's life (DESIGN, section 3): functions of a case that raise AssertionError where one is broken."""

from kasmina.records import Stage
from kasmina.testing.rules.birth import birth_changes_nothing, optimizer_survives
from kasmina.testing.rules.continuity import alpha_is_continuous, nothing_jumps
from kasmina.testing.rules.dormancy import dormant_is_free, probe_touches_nothing
from kasmina.testing.rules.isolation import isolation_holds, poison_never_reaches_the_host, random_numbers_are_apart
from kasmina.testing.rules.learning import every_stage_trains, nothing_freezes, seeds_learn
from kasmina.testing.rules.removal import cut_leaves_no_trace, early_cull_leaves_no_trace, late_cull_leaves_no_trace

__all__ = [
    "LATE",
    "alpha_is_continuous",
    "birth_changes_nothing",
    "cut_leaves_no_trace",
    "dormant_is_free",
    "early_cull_leaves_no_trace",
    "every_stage_trains",
    "isolation_holds",
    "late_cull_leaves_no_trace",
    "nothing_freezes",
    "nothing_jumps",
    "optimizer_survives",
    "poison_never_reaches_the_host",
    "probe_touches_nothing",
    "random_numbers_are_apart",
    "seeds_learn",
]

LATE = (Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE)
"""Stages in which a seed adds to the output."""
