"""What the rules are checked on: one host, one site, one blueprint, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from attrs import field, frozen
from hypothesis import strategies as st
from zoo_bodies import BLUEPRINTS, BODIES, DRAWS
from zoo_hosts import HOSTS

from kasmina.records import Site
from kasmina.testing import cases as testing
from kasmina.testing.cases import DTYPES, OPTIMIZERS, Body, Host, form, sites_of


def body_named(name: str) -> Body:
    return Body(name, BODIES[name], lambda site: None if fits(site, name) else "another shape", name in DRAWS)


BODY = {name: body_named(name) for name in BODIES}


def to_host(host: Host | str) -> Host:
    return HOSTS[host] if isinstance(host, str) else host


def to_body(body: Body | str) -> Body:
    return BODY[body] if isinstance(body, str) else body


@frozen
class Case(testing.Case):
    """The same, by names."""

    host: Host = field(default=HOSTS["mlp"], converter=to_host)
    site: str = "0"
    body: Body = field(default=BODY["deep"], converter=to_body)


@cache
def sites(host: str) -> dict[str, Site]:
    return sites_of(HOSTS[host])


def fits(site: Site, body: str) -> bool:
    if body in BLUEPRINTS:
        return BLUEPRINTS[body].fits(site) is None
    positions = (slice(1, None)) if site.kind == "image" else slice(-1)
    return body == "fits_anything" or site.in_shape[positions] == site.out_shape[positions]


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
        alternatives=draw(st.sampled_from([0, 0, 2])),
    )
