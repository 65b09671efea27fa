"""``kasmina check``: check that a plugin keeps the contract."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext, redirect_stdout
from typing import Any

import click
from attrs import asdict, frozen

from kasmina.errors import UsageError
from kasmina.plugins.catalog import find


@frozen
class Result:
    """Result of one check."""

    name: str
    passed: bool
    sentence: str
    """Rule, and how it is broken if it is."""
    seconds: float
    sites: int | None = None
    """Number of sites at which the rule was checked; None if it failed or is not about sites."""


@click.command()
@click.argument("kind", type=click.Choice(["blueprint", "controller", "logger"]), metavar="KIND")
@click.argument("name")
@click.option(
    "--set", "sets", metavar="KEY=VALUE", multiple=True, help="An option, such as blueprint.hidden=4; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def check(ctx: click.Context, kind: str, name: str, sets: tuple[str, ...], as_json: bool) -> None:
    """Check that an installed plugin keeps the contract.

    KIND is blueprint, controller or logger; NAME is a name from 'kasmina plugins'. In your own tests the same checks
    come from kasmina.testing. The exit status is 1 if a check fails.
    """
    from kasmina import testing
    from kasmina.plugins.drivers import load, make

    entry = find(kind, name)
    options = _options(kind, name, sets)
    make(entry, options)  # wrong options are the user's fault and not the plugin's
    checks = getattr(testing, f"{kind}_checks")(load(entry), **options)
    results = []
    for each in checks:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            results.append(_result(each))
        if not as_json:
            click.echo(_line(results[-1], results[:-1]))
    failed = sum(not result.passed for result in results)
    if as_json:
        origin = {"kind": kind, "name": entry.name, "distribution": entry.distribution, "version": entry.version}
        document = origin | {"passed": not failed, "checks": [asdict(result) for result in results]}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(_total(results))
    ctx.exit(1 if failed else 0)


def _options(kind: str, name: str, sets: tuple[str, ...]) -> dict[str, Any]:
    """Return the plugin's options from the values of --set.

    Raises:
        UsageError: A value is not KEY=VALUE, or sets an option of something else.
    """
    from kasmina.run.options.sources import layered

    start: dict[str, Any] = {"loggers": {name: {}}} if kind == "logger" else {kind: {"name": name}}
    raw = layered(start, None, {}, sets)
    plugin = raw.pop("loggers")[name] if kind == "logger" else raw.pop(kind)
    if raw:
        place = f"loggers.{name}" if kind == "logger" else kind
        raise UsageError(f"--set {next(iter(raw))}: only the {kind} is checked; its options are {place}.OPTION=VALUE")
    if not isinstance(plugin, dict) or plugin.get("name", name) != name:
        raise UsageError(f"--set: {name!r} is the {kind} that is checked, and no other")
    return {option: value for option, value in plugin.items() if option != "name"}


def _result(check: Any) -> Result:
    began = time.perf_counter()
    try:
        sites = check()
    except AssertionError as error:
        return Result(check.name, False, str(error), round(time.perf_counter() - began, 3))
    return Result(check.name, True, check.rule, round(time.perf_counter() - began, 3), sites)


def _total(results: list[Result]) -> str:
    failed = sum(not result.passed for result in results)
    if failed:
        return f"{failed} of {len(results)} checks failed"
    sites = max((result.sites or 0 for result in results), default=0)
    return f"all {len(results)} checks passed" + (f", at {sites} site{'s' * (sites > 1)}" if sites else "")


def _seen(result: Result) -> str:
    """Return how a check failed, without the rule and the place, because one mistake can fail several checks."""
    return result.sentence.partition("; but ")[2].partition(" (")[0]


def _line(result: Result, before: list[Result]) -> str:
    terminal = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
    good, bad = ("✓", "✗") if terminal else ("ok    ", "FAILED")
    if result.passed:
        return f"{click.style(good, fg='green')} {result.name}"
    again = next((other.name for other in before if not other.passed and _seen(other) == _seen(result)), None)
    sentence = (
        f"{result.sentence.partition('; but ')[0]}; but it is the same as in {again!r}" if again else result.sentence
    )
    return f"{click.style(bad, fg='red')} {result.name}: {sentence}"
