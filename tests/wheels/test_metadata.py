"""What an index shows of the four distributions, read from the wheels that are installed here."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
OURS = ("kasmina-core", "kasmina-blueprints", "kasmina-controllers", "kasmina-loggers")


@pytest.fixture(params=OURS)
def dist(request: pytest.FixtureRequest) -> Distribution:
    return distribution(request.param)


def test_the_licence_comes_along(dist: Distribution) -> None:
    assert dist.metadata["License-Expression"] == "Apache-2.0" and dist.metadata.get_all("License-File") == ["LICENSE"]
    (file,) = [file for file in dist.files or () if file.name == "LICENSE" and "licenses" in file.parts]
    assert file.read_text() == (ROOT / "LICENSE").read_text()


def test_an_index_can_sort_it_in(dist: Distribution) -> None:
    classifiers = dist.metadata.get_all("Classifier") or []
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)} <= set(classifiers)
    assert "Typing :: Typed" in classifiers and not any(line.startswith("License ::") for line in classifiers)
    assert dist.metadata["Author"] == "The Kasmina authors" and dist.metadata["Keywords"] and dist.metadata["Summary"]


def test_it_says_where_the_project_is(dist: Distribution) -> None:
    urls = dict(line.split(", ") for line in dist.metadata.get_all("Project-URL") or ())
    assert urls.keys() == {"Homepage", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(urls["Homepage"]) for url in urls.values())


def test_its_page_has_no_link_that_leads_nowhere(dist: Distribution) -> None:
    page = str(dist.metadata.get_payload())  # type: ignore[attr-defined]
    targets = re.findall(r"\]\(([^)\s]*)", page)
    assert targets and [target for target in targets if not target.startswith("https://")] == []


@pytest.mark.parametrize("name", OURS[1:])
def test_plugins_ask_for_a_core_that_they_know(name: str) -> None:
    wanted = [Requirement(line) for line in distribution(name).requires or ()]
    (core,) = [each for each in wanted if each.name == "kasmina-core"]
    release = distribution("kasmina-core").version
    assert core.specifier.contains(release) and not core.specifier.contains(f"{int(release.split('.')[0]) + 1}.0")


def test_all_four_have_one_version() -> None:
    assert len({distribution(name).version for name in OURS}) == 1
