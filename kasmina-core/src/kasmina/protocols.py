"""Methods of blueprints, hosts, tasks and loggers, as types by which mypy checks a plugin.

Kasmina calls these methods directly and not by hooks. A plugin need not inherit from the protocols; an assignment is
enough for mypy to compare the two::

    blueprint: Blueprint = Narrow()

Nothing here imports torch when a program runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kasmina.records import Data, Site

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class Blueprint(Protocol):
    """Blueprint of a seed, of the group ``kasmina.blueprints``.

    It may also have `fits` (see :class:`SelectiveBlueprint`); without it a blueprint fits every site.
    """

    def build(self, site: Site) -> nn.Module:
        """Build the body of a seed, once for each germination.

        Args:
            site: Place in the host at which the seed will grow, a :class:`kasmina.Site`.

        Returns:
            A map from (batch, *site.in_shape) to (batch, *site.out_shape), new at each call.
        """


@runtime_checkable
class SelectiveBlueprint(Blueprint, Protocol):
    """Blueprint that cannot build at every site; a run considers only the sites that its blueprint fits."""

    def fits(self, site: Site) -> str | None:
        """Return None where it can build, otherwise the reason in a clause.

        An example of a reason is "attention needs a sequence, and the site is a vector".
        """


@runtime_checkable
class Host(Protocol):
    """Network that grows, of the group ``kasmina.hosts``.

    It may also have `default_sites`, a tuple of the site patterns that a run takes if none are given. A host that is
    not installed is named ``package.module:callable`` and may be a plain callable, which is called with `in_shape`,
    `outputs` and its options as keywords.
    """

    def build(self, in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Build the network, once for each run.

        Args:
            in_shape: Shape of one sample.
            outputs: Number of classes, or of targets of a regression.

        Returns:
            A map from (batch, *in_shape) to (batch, outputs).
        """


@runtime_checkable
class Task(Protocol):
    """Data to learn from, of the group ``kasmina.tasks``.

    A task that is not installed is named ``package.module:callable`` and may be a plain callable, which is called with
    its options as keywords.
    """

    def load(self) -> Data:
        """Load the data, a :class:`kasmina.Data`; the same at each call, or a run cannot be resumed."""


@runtime_checkable
class Logger(Protocol):
    """Logger that begins something long, of the group ``kasmina.loggers``.

    A logger owes no method: it implements the hooks of :mod:`kasmina.hookspecs` that it needs.
    """

    def prepare(self) -> None:
        """Begin what takes long, in a process or thread of its own, while data and host are made ready.

        Called once, as soon as the run's plugins are made and before `on_run_start`.
        """


@runtime_checkable
class Stateful(Protocol):
    """Plugin of any kind that says itself what it remembers, as modules and optimizers of torch do.

    So that a run can be resumed exactly, and go back when training has gone wrong, a run saves what its plugins
    remember, and gives it back after `on_run_start` and `on_phase_start`.

    A controller or a blueprint needs neither method if all that it remembers is in attrs fields with ``init=False``:
    these are saved and put back by their declared types, which may be numbers, text, None, enums and attrs classes, and
    lists, tuples, sets and dicts with text as keys of them. A field that holds anything else (a `random.Random`, a
    deque) wants the two methods. Without them, or if they fail, the run goes on but cannot be resumed, and says so
    when it starts.

    Of a logger only what these methods say is kept. If one of them raises, that is reported once, the logger stays on,
    and the run goes on.
    """

    def state_dict(self) -> Mapping[str, Any]:
        """Return what the plugin remembers.

        It may hold plain values (None, bool, int, float, str), torch tensors, and lists and dicts with text as keys of
        them. It passes through JSON, so that a tuple comes back as a list. It is copied.
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned, in the same process or in another.

        Raises:
            Exception: `state` does not fit, which stops a run that would be resumed.
        """
