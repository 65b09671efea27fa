"""Checks of a blueprint: of its modules, and of the life of a seed at every kind and form of site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import product
from typing import Any

import torch
from attrs import define, evolve, frozen

from kasmina.growth.sites.find import KINDS
from kasmina.records import Site, Stage
from kasmina.testing import module_checks, rules
from kasmina.testing.cases import Body, Case, Host, form, sites_of
from kasmina.testing.contract_check import Check, seen
from kasmina.testing.hosts import CNN, MIXER, MLP
from kasmina.testing.lifecycle import life_is_legal
from kasmina.testing.options import Subject, hook_checks, option_checks

OTHER = ("float64", "bfloat16")
"""Dtypes other than float32, which take turns, so that each kind and each form of site is tried in both."""
STEPS = [("step", None)] * 7
LIFE: list[tuple[str, Any]] = [
    *[("germinate", 0), *STEPS, ("keep", 0), ("keep", 0), ("germinate", 0), ("step", 0.4), ("step", 0.2)],
    *[("germinate", 1), ("cull", 0), *STEPS, ("cull", 0), ("cull", 1), ("cull", 2), *STEPS],
]
"""Operations on seeds, legal and illegal ones."""


@frozen
class Rule:
    """A rule of a seed's life."""

    name: str
    says: str
    asserts: tuple[Callable[[Case], None], ...]
    both: bool = False
    """Whether each site is tried in two dtypes, because rounding could matter or the cost is low."""


RULES = (
    Rule(
        "birth changes nothing",
        "a new seed leaves the host's output the same to the bit",
        (rules.birth_changes_nothing,),
        both=True,
    ),
    Rule(
        "isolation holds",
        "while a seed trains, the host learns as if there were none",
        (rules.isolation_holds,),
        both=True,
    ),
    Rule(
        "seeds learn",
        "every parameter of a seed gets a gradient within two steps",
        (rules.seeds_learn,),
        both=True,
    ),
    Rule(
        "nothing jumps",
        "the output moves with alpha and no more than alpha, from stage to stage",
        (rules.nothing_jumps, partial(rules.alpha_is_continuous, low=0.3, high=0.6)),
    ),
    Rule(
        "nothing freezes",
        "from blending on, the host's parameters get gradients as before",
        (rules.nothing_freezes,),
    ),
    Rule(
        "culls leave no trace",
        "a culled seed leaves the host, its optimiser and its random numbers as if it had never been",
        (
            rules.early_cull_leaves_no_trace,
            partial(rules.late_cull_leaves_no_trace, stage=Stage.BLENDING),
            partial(rules.late_cull_leaves_no_trace, stage=Stage.ACTIVE),
        ),
    ),
    Rule(
        "random numbers are apart",
        "a seed never draws from the host's random numbers",
        (rules.random_numbers_are_apart,),
    ),
    Rule(
        "the optimiser survives",
        "germination adds to the optimiser and changes nothing in it",
        (rules.optimizer_survives,),
    ),
    Rule(
        "life is legal",
        "each change of stage is a legal one and told once",
        (partial(life_is_legal, operations=LIFE),),
    ),
    Rule("dormant is free", "a seed that is gone leaves nothing on the host", (rules.dormant_is_free,)),
    Rule("trains in every stage", "losses are finite from birth to cull", (rules.every_stage_trains,), both=True),
)
MODULES = {
    "gives numbers": ("its outputs are finite", module_checks.gives_numbers),
    "leaves the seed alone": (
        "its forward draws random numbers, if any, as they come",
        module_checks.leaves_the_seed_alone,
    ),
    "parameters are settled": (
        "a module has its parameters when it is built, and as many each time",
        module_checks.parameters_are_settled,
    ),
    "evaluation repeats itself": (
        "in evaluation mode the same input gives the same output",
        module_checks.evaluation_repeats,
    ),
    "copies and saves": (
        "a copy, and a new module with the saved state, give the same output",
        module_checks.copies_and_saves,
    ),
    "fits a small task": (
        "training lowers the loss on outputs of a module of the same kind",
        module_checks.fits_a_task,
    ),
}


def checks(cls: Any, **options: Any) -> list[Check]:
    """Return the checks of the blueprint `cls` with these options."""
    subject = Subject("blueprint", cls, options)
    trial = BlueprintTrial(subject)
    fits = Check(
        "fits tells the truth",
        "fits answers None or the reason on one line, and where it is None the module gives the right shape",
        lambda: module_checks.fits_tells_the_truth(trial.blueprint),
    )
    own = [Check(name, says, partial(trial.for_every_module, look)) for name, (says, look) in MODULES.items()]
    life = [Check(rule.name, rule.says, partial(trial.at_every_site, rule)) for rule in RULES]
    return [*option_checks(subject), *hook_checks(subject), fits, *own, *life]


@define
class BlueprintTrial:
    """A blueprint and the sites where it is tried, made at first use, so that their faults fail a check."""

    subject: Subject

    @cached_property
    def blueprint(self) -> Any:
        """A new instance of the blueprint."""
        return self.subject.make()

    @cached_property
    def cases(self) -> list[Case]:
        """One site of each kind and form that the blueprint fits."""
        found = [case for host in (MLP, MIXER, CNN) for case in self._of(host)]
        assert found, "it fits none of the vectors, sequences and images that were tried"
        return found

    def _of(self, host: Host) -> Iterator[Case]:
        fits = getattr(self.blueprint, "fits", lambda site: None)
        chosen: dict[str, Site] = {}
        for site in sites_of(host).values():
            wanted = site.kind == KINDS[len(host.in_shape)] and fits(site) is None
            # A site from one width to another, if there is one: it demands more of a blueprint.
            if wanted and (form(site.name) not in chosen or site.in_features != site.out_features):
                chosen[form(site.name)] = site
        for site in chosen.values():
            draws = module_checks.draws(self.blueprint.build(site), site)
            yield Case(host, site.name, Body(self.subject.name, self.blueprint.build, fits, draws))

    def for_every_module(self, look: Callable[[Any, Site], None]) -> int:
        """Look at the modules for all sites, and return their number."""
        with one_thread():
            for case in self.cases:
                with located(case):
                    look(self.blueprint, sites_of(case.host)[case.site])
        return len(self.cases)

    def at_every_site(self, rule: Rule) -> int:
        """Apply a rule at all sites, and return their number."""
        for number, case in enumerate(self.cases):
            other = OTHER[(number + number // 3) % 2]
            dtypes = ["float32", other] if rule.both else [["float32", *OTHER][(number + number // 3) % 3]]
            for dtype, look in product(dtypes, rule.asserts):
                typed = evolve(case, dtype=dtype)
                with one_thread(), located(typed):
                    look(typed)
        return len(self.cases)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: a second one only costs time where tensors are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def located(case: Case) -> Iterator[None]:
    """Say in errors at which site they were raised."""
    try:
        yield
    except Exception as error:
        site = sites_of(case.host)[case.site]
        read, give = (" x ".join(map(str, shape)) for shape in (site.in_shape, site.out_shape))
        where = f"{form(case.site)} {case.site!r} of a small host, {site.kind} of {read} to {give}, {case.dtype}"
        raise AssertionError(f"{seen(error)} ({where})") from error
