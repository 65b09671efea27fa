"""What the rules are checked on: one host, one site, one blueprint, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import cycle, product

import torch
from attrs import frozen
from hypothesis import strategies as st
from torch import Tensor, nn
from zoo_bodies import BLUEPRINTS, BODIES, Build
from zoo_hosts import BATCH, HOSTS

from kasmina.growth.site import Place, find_places
from kasmina.records import Site

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.05, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, 0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 0.01, amsgrad=True),
    "named": lambda parameters: torch.optim.Adam(parameters, 0.01),
}


@frozen
class Case:
    host: str = "mlp"
    site: str = "0"
    body: str = "deep"
    dtype: str = "float32"
    optimizer: str = "adam"
    seed: int = 0
    elder: str = ""
    """A site at which a seed is active already."""

    @property
    def build(self) -> Build:
        return BODIES[self.body]

    def new_host(self) -> nn.Module:
        torch.manual_seed(self.seed)
        return HOSTS[self.host][1]().to(DTYPES[self.dtype])

    def batch(self, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * self.seed + number)
        return torch.randn(BATCH, *HOSTS[self.host][0], generator=generator).to(DTYPES[self.dtype])

    def places(self, host: nn.Module) -> dict[str, Place]:
        return find_places(host, ["*", "*:*"], self.batch(0)[:2])

    def new_optimizer(self, host: nn.Module) -> torch.optim.Optimizer:
        parameters = host.named_parameters() if self.optimizer == "named" else host.parameters()
        return OPTIMIZERS[self.optimizer](parameters)


@cache
def sites(host: str) -> dict[str, Site]:
    """All sites of a host, in all three forms."""
    case = Case(host)
    with torch.random.fork_rng():
        return {name: place.site for name, place in case.places(case.new_host()).items()}


def fits(site: Site, body: str) -> bool:
    if body in BLUEPRINTS:
        return BLUEPRINTS[body].fits(site) is None
    positions = (slice(1, None)) if site.kind == "image" else slice(-1)
    return body == "fits_anything" or site.in_shape[positions] == site.out_shape[positions]


def form(name: str) -> str:
    first, colon, last = name.partition(":")
    return "after" if not colon else "around" if first == last else "span"


@cache
def places_for(body: str, kind: str = "") -> dict[str, dict[str, list[str]]]:
    """By host and form: the sites that a blueprint fits, of one kind or of all."""
    found: dict[str, dict[str, list[str]]] = {}
    for host in HOSTS:
        for name, site in sites(host).items():
            if kind in ("", site.kind) and fits(site, body):
                found.setdefault(host, {}).setdefault(form(name), []).append(name)
    return found


@st.composite
def cases(draw: st.DrawFn, bodies: Sequence[str], elders: bool = False) -> Case:
    body = draw(st.sampled_from(bodies))
    host = draw(st.sampled_from(list(places_for(body))))
    names = draw(st.sampled_from(list(places_for(body)[host].values())))
    return Case(
        host=host,
        site=draw(st.sampled_from(names)),
        body=body,
        dtype=draw(st.sampled_from(list(DTYPES))),
        optimizer=draw(st.sampled_from(list(OPTIMIZERS))),
        seed=draw(st.integers(0, 99)),
        elder=draw(st.sampled_from(["", *names])) if elders else "",
    )


def each(bodies: Sequence[str]) -> list[Case]:
    """Every blueprint at every kind and form of site that it fits; several of one class take turns."""
    classes: dict[type, list[str]] = {}
    for body in bodies:
        classes.setdefault(type(BLUEPRINTS[body]), []).append(body)
    chosen: list[Case] = []
    for several in classes.values():
        bodies = cycle(several)
        for kind, where in product(("vector", "sequence", "image"), ("after", "around", "span")):
            body = next(bodies)
            found = [(host, name) for host, forms in places_for(body, kind).items() for name in forms.get(where, [])]
            chosen += [Case(*found[len(chosen) * 7 % len(found)], body)] if found else []
    return chosen
