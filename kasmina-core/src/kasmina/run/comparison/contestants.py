"""Contestants of a comparison: what each changes in the options that all share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from kasmina.errors import UsageError
from kasmina.plugins.catalog import find
from kasmina.run.folder import text_of
from kasmina.run.options.config import Config, configure
from kasmina.run.plugin_set import PluginSet, options_of

WIDTH_OPTIONS = ("width", "hidden")
"""Options of hosts that say how wide they are; the first that a host has is taken."""


@frozen
class Contestant:
    """Name, and options of a run as one types them behind ``--set``."""

    name: str
    sets: tuple[str, ...] = ()

    def folder(self, seed: int) -> str:
        """Return the name of the folder of its run with this seed."""
        plain = re.sub(r"[^\w.-]", "-", self.name)
        return f"{plain}-{seed}"


@frozen
class SharedOptions:
    """Options that all runs of a comparison share, as `configure` takes them."""

    file: Path | None
    options: Mapping[str, Any]
    sets: Sequence[str]
    epochs: int | None
    trust: bool

    def __attrs_post_init__(self) -> None:
        for word in self.sets:
            key = word.partition("=")[0]
            if key == "seed":
                raise UsageError(f"--set {word}: a comparison takes the seeds from 0 on; --repeat says how many")
            if key.partition(".")[0] == "controller":
                raise UsageError(
                    f"--set {word}: a comparison has several controllers; name one and its options in a file for "
                    "--config, where they are those of 'default'"
                )

    def config(self, contestant: Contestant, seed: int = 0) -> Config:
        """Return the options of one run.

        Raises:
            UsageError: As `configure` does.
        """
        sets = [*self.sets, *contestant.sets, f"seed={seed}"]
        return configure(self.file, self.options, sets, self.epochs, self.trust)

    @property
    def text(self) -> bytes:
        """Options that all runs have in common, as the content of a file."""
        raw = asdict(self.config(Contestant("shared")))
        raw["settings"].pop("seed")
        return text_of({name: value for name, value in raw.items() if name not in ("controller", "loggers")})


def contestants(words: Iterable[str], widths: Iterable[int], shared: SharedOptions) -> list[Contestant]:
    """Return the contestants that the words name, all of them checked.

    ``default`` is the run as it would be without any other word, and ``static`` the host alone in several widths.

    Raises:
        UsageError: A name or an option does not exist, or a name is there twice.
    """
    found: list[Contestant] = []
    for word in words:
        found += _static(widths, shared) if word == "static" else [_named(word)]
    names = [one.name for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"{min(twice)!r} is named twice; name it once")
    for one in found:
        PluginSet.of(shared.config(one))
    return found


def _named(word: str) -> Contestant:
    if word == "default":
        return Contestant(word)
    find("controller", word)
    return Contestant(word, (f"controller={word}",))


def _static(widths: Iterable[int], shared: SharedOptions) -> list[Contestant]:
    alone = ("controller=never",)
    config = shared.config(Contestant("static", alone))
    has = options_of(PluginSet.of(config).host)
    name = next((name for name in WIDTH_OPTIONS if name in has), None)
    if name is None:
        raise UsageError(
            f"the host {config.host.name!r} has neither an option 'width' nor 'hidden', so 'static' cannot vary it; "
            "leave 'static' out of --controllers"
        )
    return [Contestant(f"static-{width}", (*alone, f"host.{name}={width}")) for width in widths]
