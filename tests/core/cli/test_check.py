"""kasmina check: one line a check, a sentence for what failed, and a status that says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from kasmina.cli.main import main
from kasmina.testing import Check

Plant = Callable[..., Path]

PLUGIN = '''
import attrs
from kasmina import Proposal, hookimpl

@attrs.define(eq=False)
class It:
    """Proposes the first site, free or not, if it is bold."""
    bold: bool = True

    @hookimpl
    def propose_germination(self, observation):
        print("asked")
        return Proposal(observation.sites[0].site.name) if self.bold else None

@attrs.define(eq=False)
class Log:
    """Makes a file."""
    file: str = "it.txt"

    @hookimpl
    def on_run_start(self, run):
        (run.folder / self.file).write_text("")
'''


@pytest.fixture(autouse=True)
def it(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"kasmina.controllers": {"it": "kasmina_checked:It"}, "kasmina.loggers": {"it": "kasmina_checked:Log"}}
    plant("stranger", points, {"kasmina_checked": PLUGIN})


def test_one_line_a_check_and_a_sentence_for_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "controller", "it"]) == 1
    *lines, last = [line for line in capsys.readouterr().out.splitlines() if line != "asked"]
    assert "ok     defaults make it" in lines and last.endswith(f"of {len(lines)} checks failed")
    (sentence,) = [line for line in lines if line.startswith("FAILED waits for a free site: ")]
    assert sentence.endswith("while no site is free nothing is proposed; but it is the same as in 'answers many runs'")
    (first,) = [line for line in lines if line.startswith("FAILED answers many runs: ")]
    assert "but it proposed 'layers.0', where a seed is on its way" in first


def test_options_are_set_as_for_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "controller", "it", "--set", "controller.bold=false"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all 12 checks passed"
    assert main(["check", "logger", "it", "--set", "loggers.it.file=other.txt"]) == 0
    assert main(["check", "logger", "it", "--set", "loggers.it.file=../beside.txt"]) == 1
    assert "but it wrote runs/beside.txt" in capsys.readouterr().out


def test_the_number_of_sites_that_were_tried_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [Check("one", "it is so", lambda: 9), Check("two", "it is so", lambda: None)]
    monkeypatch.setattr("kasmina.testing.controller_checks", lambda *_, **options: checks)
    assert main(["check", "controller", "it"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all 2 checks passed, at 9 sites"
    assert main(["check", "controller", "it", "--json"]) == 0
    assert [check["sites"] for check in json.loads(capsys.readouterr().out)["checks"]] == [9, None]


def test_a_terminal_gets_ticks_and_crosses(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main(["check", "controller", "it"])
    out = click.unstyle(capsys.readouterr().out)
    assert "✓ defaults make it" in out and "✗ waits for a free site: " in out


@pytest.mark.parametrize(("bold", "status"), [("true", 1), ("false", 0)])
def test_json_is_one_document_whatever_the_plugin_prints(
    capsys: pytest.CaptureFixture[str], bold: str, status: int
) -> None:
    assert main(["check", "controller", "stranger:it", "--json", "--set", f"controller.bold={bold}"]) == status
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["distribution"] == "stranger" and document["passed"] == (status == 0)
    assert {check["passed"] for check in document["checks"]} == {True, status == 0}
    assert all(set(check) == {"name", "passed", "sentence", "seconds", "sites"} for check in document["checks"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "controller", "ti"], "no controller is called 'ti'; did you mean it?"),
        (["check", "blueprint", "it"], "no blueprint is called 'it'"),
        (["check", "host", "mlp"], "'host' is not one of 'blueprint', 'controller', 'logger'"),
        (["check", "controller", "it", "--set", "controller.blod=1"], "no option is called 'controller.blod'"),
        (["check", "controller", "it", "--set", "controller.bold=3"], "controller.bold: takes bool, not 3"),
        (["check", "controller", "it", "--set", "host.hidden=8"], "--set host: only the controller is checked"),
        (["check", "controller", "it", "--set", "controller=never"], "'it' is the controller that is checked"),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1


def test_a_plugin_that_cannot_be_loaded(capsys: pytest.CaptureFixture[str], plant: Plant) -> None:
    plant("broken", {"kasmina.loggers": {"broken": "kasmina_test_absent:It"}})
    assert main(["check", "logger", "broken"]) == 1
    assert "the logger 'broken' of broken 1.0 cannot be loaded" in capsys.readouterr().err
