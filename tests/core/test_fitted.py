"""The sites that a blueprint fits: a run considers no others."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import attrs
import pytest
import torch
from torch import nn

from kasmina import Site
from kasmina.errors import PluginError, UsageError
from kasmina.growth.site import Place, find_places
from kasmina.plugins.catalog import Entry
from kasmina.run.assembly import fitted
from kasmina.run.plugins import Plugins


@attrs.define(eq=False)
class Silent:
    """A blueprint that does not say what it fits."""


@attrs.define(eq=False)
class Says:
    """A blueprint that answers as it is told to."""

    answer: Callable[[Site], Any]

    def fits(self, site: Site) -> Any:
        return self.answer(site)


def fail(site: Site) -> str:
    raise RuntimeError("no\nidea")


@pytest.fixture(scope="module")
def places() -> dict[str, Place]:
    widths = [2, 3, 4, 5, 6, 7]
    host = nn.Sequential(*(nn.Linear(read, give) for read, give in zip(widths, widths[1:], strict=False)))
    return find_places(host, ["*"], torch.zeros(2, 2))


def asked(blueprint: Any, places: dict[str, Place]) -> dict[str, Place]:
    entry = Entry("blueprint", "mine", "tests", "0", "ready", False, EntryPoint("x", "x:X", "kasmina.blueprints"))
    return fitted(places, Plugins(None, None, None, blueprint, {}, {"blueprint": entry}))


def test_one_that_does_not_say_fits_all(places):
    assert asked(Silent(), places) == places


def test_only_sites_that_it_fits_are_left_in_their_order(places):
    found = asked(Says(lambda site: "mine needs an even site" if site.out_features % 2 else None), places)
    assert list(found) == ["1", "3"] and found["1"] is places["1"]


def test_no_site_left_is_one_sentence_with_blueprint_sites_and_reasons(places):
    blueprint = Says(lambda site: "mine needs more" if site.out_features < 7 else "mine needs less")
    with pytest.raises(UsageError) as caught:
        asked(blueprint, places)
    assert str(caught.value) == (
        "blueprint 'mine' fits none of the sites (0, 1, 2 and 1 more: mine needs more; 4: mine needs less); "
        "name others with --site"
    )


@pytest.mark.parametrize("came", [True, False, 3])
def test_another_answer_breaks_the_contract(places, came):
    with pytest.raises(PluginError, match=f"'mine' of tests 0: fits gave {type(came).__name__}, due is None or the"):
        asked(Says(lambda site: came), places)


def test_one_that_raises_is_named_with_its_error(places):
    with pytest.raises(PluginError, match="'mine' of tests 0: fits fails on site '0' with RuntimeError: no idea"):
        asked(Says(fail), places)
