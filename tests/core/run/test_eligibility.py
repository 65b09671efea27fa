"""The sites that a blueprint fits: a run considers no others."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import nn

from kasmina import Site
from kasmina.errors import PluginError, UsageError
from kasmina.growth.sites.find import BoundSite, Builders, find_sites
from kasmina.plugins.catalog import Entry
from kasmina.run.eligibility import check_offers, eligible_builders
from kasmina.run.options.config import PluginChoice
from kasmina.run.plugin_set import choose


@attrs.define(eq=False)
class Silent:
    """A blueprint that does not say what it fits."""

    def build(self, site: Site) -> nn.Module:
        return nn.Identity()


@attrs.define(eq=False)
class Says:
    """A blueprint that answers as it is told to."""

    answer: Callable[[Site], Any]

    def fits(self, site: Site) -> Any:
        return self.answer(site)

    def build(self, site: Site) -> nn.Module:
        return nn.Identity()


def fail(site: Site) -> str:
    raise RuntimeError("no\nidea")


@pytest.fixture(scope="module")
def places() -> dict[str, BoundSite]:
    widths = [2, 3, 4, 5, 6, 7]
    host = nn.Sequential(*(nn.Linear(read, give) for read, give in zip(widths, widths[1:], strict=False)))
    return find_sites(host, ["*"], torch.zeros(2, 2))


def asked(blueprint: Any, places: dict[str, BoundSite], *alternatives: Any) -> dict[str, Builders]:
    offered = [
        (Entry("blueprint", name, "tests", "0", "ready", False, EntryPoint("x", "x:X", "kasmina.blueprints")), one)
        for name, one in zip(["mine", "second", "third"], [blueprint, *alternatives], strict=False)
    ]
    sites = [place.site for place in places.values()]
    check_offers(sites, offered, None)
    return eligible_builders(sites, offered)


def test_one_that_does_not_say_fits_all(places: dict[str, BoundSite]) -> None:
    assert list(asked(Silent(), places)) == list(places)


def test_only_sites_that_it_fits_are_left_in_their_order(places: dict[str, BoundSite]) -> None:
    found = asked(Says(lambda site: "mine needs an even site" if site.out_features % 2 else None), places)
    assert list(found) == ["1", "3"]


def test_each_site_offers_the_blueprints_that_fit_it_in_their_order(places: dict[str, BoundSite]) -> None:
    even = Says(lambda site: "mine needs an even site" if site.out_features % 2 else None)
    last = Says(lambda site: None if site.name == "4" else "second needs the last")
    found = asked(even, places, last, Silent())
    assert {name: list(offer) for name, offer in found.items()} == {
        "0": ["third"],
        "1": ["mine", "third"],
        "2": ["third"],
        "3": ["mine", "third"],
        "4": ["second", "third"],
    }
    assert found["1"]["mine"] == even.build


def test_no_site_left_is_one_sentence_with_blueprint_sites_and_reasons(places: dict[str, BoundSite]) -> None:
    blueprint = Says(lambda site: "mine needs more" if site.out_features < 7 else "mine needs less")
    with pytest.raises(UsageError) as caught:
        asked(blueprint, places)
    assert str(caught.value) == (
        "blueprint 'mine' fits none of the sites (0, 1, 2 and 1 more: mine needs more; 4: mine needs less); "
        "name others with --site"
    )


@pytest.mark.parametrize("came", [True, False, 3])
def test_another_answer_breaks_the_contract(places: dict[str, BoundSite], came: Any) -> None:
    with pytest.raises(PluginError, match=f"'mine' of tests 0: fits gave {type(came).__name__}, due is None or the"):
        asked(Says(lambda site: came), places)


def test_one_that_raises_is_named_with_its_error(places: dict[str, BoundSite]) -> None:
    with pytest.raises(PluginError, match="'mine' of tests 0: fits fails on site '0' with RuntimeError: no idea"):
        asked(Says(fail), places)


@attrs.define(eq=False)
class Misspelled:
    """Its author meant `build`."""

    def bild(self, site: Site) -> nn.Module:
        return nn.Identity()


def test_a_blueprint_without_its_method_is_told_so(plant: Callable[..., Path]) -> None:
    plant("misspelled", {"kasmina.blueprints": {"typo": f"{__name__}:Misspelled"}})
    with pytest.raises(PluginError, match="'typo' of misspelled 1.0 has no method build, .*did you mean bild"):
        choose("blueprint", PluginChoice("typo", {}))
