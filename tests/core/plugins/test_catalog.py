"""The catalog: what is installed, in which state, and what is said when a name means nothing or too much."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kasmina.errors import UsageError
from kasmina.plugins.catalog import DISABLE, Entry, default, defaults, entries, find

Plant = Callable[..., Path]

BLUEPRINT = {"kasmina.blueprints": {"fourier": "absent:Fourier"}}


def named(name: str) -> list[Entry]:
    return [entry for entry in entries() if entry.name == name]


def test_describes_without_importing(plant: Plant) -> None:
    plant("waves", BLUEPRINT)
    entry = find("blueprint", "fourier")
    assert (entry.distribution, entry.version, entry.state, entry.default) == ("waves", "1.0", "ready", False)
    assert entry.entry_point.value == "absent:Fourier"


def test_core_describes_its_own() -> None:
    assert find("task", "spirals").distribution == "kasmina-core"
    assert find("host", default("host")).distribution == "kasmina-core"


def test_missing_name_gets_the_nearest(plant: Plant) -> None:
    plant("waves", BLUEPRINT)
    with pytest.raises(UsageError) as caught:
        find("blueprint", "fouriers")
    said = "no blueprint is called 'fouriers'; did you mean fourier? 'kasmina plugins' lists them"
    assert str(caught.value) == said
    assert caught.value.exit_code == 2


def test_two_distributions_of_one_name(plant: Plant) -> None:
    plant("waves", BLUEPRINT)
    plant("Tides.Lab", BLUEPRINT)
    assert [entry.state for entry in named("fourier")] == ["duplicate", "duplicate"]
    with pytest.raises(UsageError, match=r"Tides.Lab 1.0 and waves 1.0: choose Tides.Lab:fourier or waves:fourier"):
        find("blueprint", "fourier")
    assert find("blueprint", "waves:fourier").distribution == "waves"
    assert find("blueprint", "tides-lab:fourier").distribution == "Tides.Lab"


@pytest.mark.parametrize("word", ["waves", "WAVES", "fourier", "waves:fourier", "other, waves:fourier"])
def test_disabled(plant: Plant, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    plant("waves", BLUEPRINT)
    monkeypatch.setenv(DISABLE, word)
    assert [entry.state for entry in named("fourier")] == ["disabled"]
    with pytest.raises(UsageError, match=f"'fourier' of waves is disabled by .* {DISABLE}={word}"):
        find("blueprint", "fourier")


def test_disabling_one_of_two_decides(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("waves", BLUEPRINT)
    plant("tides", BLUEPRINT)
    monkeypatch.setenv(DISABLE, "tides:fourier,waves:other,fourie")
    assert find("blueprint", "fourier").distribution == "waves"
    assert [entry.state for entry in named("fourier")] == ["disabled", "ready"]


def test_a_distribution_found_twice_counts_once(plant: Plant, tmp_path: Path) -> None:
    plant("my-waves", BLUEPRINT, version="1.0")
    plant("my_waves", BLUEPRINT, version="2.0", folder=tmp_path / "in-front")
    assert [(entry.version, entry.state) for entry in named("fourier")] == [("2.0", "ready")]


def test_the_first_distribution_hides_the_second_even_if_it_offers_nothing(plant: Plant, tmp_path: Path) -> None:
    plant("waves", BLUEPRINT, version="1.0")
    plant("waves", {}, version="2.0", folder=tmp_path / "in-front")
    assert named("fourier") == []


@pytest.mark.parametrize("broken", ["METADATA", "entry_points.txt"])
def test_mangled_metadata_hides_nobody_else(plant: Plant, broken: str) -> None:
    (plant("waves", BLUEPRINT) / "waves-1.0.dist-info" / broken).write_bytes(b"\xff\xfe[[[ = =\n]")
    plant("tides", {"kasmina.blueprints": {"ebb": "absent:Ebb"}})
    assert find("blueprint", "ebb").distribution == "tides"


def test_working_folder_is_no_source_of_plugins(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    here: Path = plant("waves", BLUEPRINT)
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", ["", *(folder for folder in sys.path if folder != str(here))])
    assert named("fourier") == []


def test_defaults(plant: Plant) -> None:
    plant("waves", BLUEPRINT | {"kasmina.defaults": {"fourier": "blueprint", "nobody": "blueprint"}})
    assert find("blueprint", "fourier").default
    assert "fourier" in defaults("blueprint")


def test_a_default_keeps_its_meaning_beside_a_duplicate(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("waves", {"kasmina.hosts": {"net": "a:B"}, "kasmina.defaults": {"net": "host"}})
    plant("tides", {"kasmina.hosts": {"net": "a:B"}})
    monkeypatch.setenv(DISABLE, "kasmina-core")
    assert default("host") == "waves:net"
    assert find("host", default("host")).distribution == "waves"


def test_a_distribution_may_make_anothers_plugin_the_default(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("waves", {"kasmina.hosts": {"net": "a:B"}})
    plant("house-rules", {"kasmina.defaults": {"net": "host"}})
    monkeypatch.setenv(DISABLE, "kasmina-core")
    assert default("host") == "net"


def test_no_default_says_what_there_is(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("waves", {"kasmina.hosts": {"net": "a:B"}})
    monkeypatch.setenv(DISABLE, "mlp,cnn,transformer")
    with pytest.raises(UsageError, match="no host is the default: name one with --host, of net; .* kasmina-core:mlp"):
        default("host")


def test_nothing_of_a_kind(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DISABLE, "kasmina-core")
    with pytest.raises(UsageError, match="no host is installed"):
        default("host")


def test_two_defaults_for_one_place(plant: Plant) -> None:
    plant("waves", {"kasmina.hosts": {"net": "a:B"}, "kasmina.defaults": {"net": "host"}})
    with pytest.raises(UsageError, match="2 defaults .* host, kasmina-core:mlp and waves:net: name one with --host"):
        default("host")
