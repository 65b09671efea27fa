"""The command line's frame: what is listed, what is imported for it, and how each failure is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kasmina.cli.main import main
from kasmina.plugins.catalog import DISABLE

Plant = Callable[..., Path]
Command = Callable[..., None]

COMMAND = "import click\n@click.command()\ndef it():\n    '''Does it.'''\n    {}\n"


@pytest.fixture
def command(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Installs a stranger's command `it` with this body, and returns it as a call with arguments."""

    def installed(body: str, name: str = "it") -> None:
        monkeypatch.delitem(sys.modules, "kasmina_test_command", raising=False)
        source = COMMAND.format(body)
        plant("stranger", {"kasmina.commands": {name: "kasmina_test_command:it"}}, {"kasmina_test_command": source})

    return installed


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err
    return captured.err.rstrip("\n")


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str], command: Command) -> None:
    command("raise SystemExit(9)")
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "plugins   List the installed plugins" in out
    assert "it        Does it.\n" in out
    assert main([]) == 0 and capsys.readouterr().out == out


RAISES = "raise SystemExit('imported')\n"
GROW = "sprout.commands.grow:grow"


@pytest.mark.parametrize(
    ("value", "source", "line"),
    [
        (GROW, "def grow():\n    '''Grow it. Then rest.\n\n    More.'''", "Grow it."),
        (GROW, "@click.command()\ndef grow(x):\n  '''Grow\n  it'''", "Grow it"),
        (GROW, "def grow(): 'One.'\ndef grow(): 'Two, which wins.'", "Two, which wins."),
        (GROW, "def grow():\n    'Red \\x1b[31m.'", "Red \N{REPLACEMENT CHARACTER}[31m."),
        (GROW, "def grow():\n    'An odd \\d escape.'", "An odd \\d escape."),
        (GROW, "def grow(): pass", None),
        (GROW, "grow = 5", None),
        (GROW, "def grow(:", None),
        (GROW, "def grow():\n  '''\0'''", None),
        (GROW, f"x = {'(' * 5000}", None),
        ("sprout.commands.grow:Grown.grow", "class Grown:\n  def grow(self): 'No.'", None),
        ("sprout.commands.grow", "def grow(): 'No.'", None),
        ("sprout.commands.absent:grow", "def grow(): 'No.'", None),
        ("sprout.absent.grow:grow", "def grow(): 'No.'", None),
        ("sprout:grow", "def grow(): 'No.'", None),
        ("math:grow", "def grow(): 'No.'", None),
    ],
)
@pytest.mark.parametrize("package", [True, False], ids=["package", "namespace"])
def test_a_stranger_s_command_is_told_of_by_its_source(
    capsys: pytest.CaptureFixture[str], plant: Plant, value: Any, source: str, line: str | None, package: bool
) -> None:
    """None of whose modules is imported for it; each would raise."""
    home = plant("stranger", {"kasmina.commands": {"grow": value}})
    folder = home / "sprout" / "commands"
    folder.mkdir(parents=True)
    for init in (home / "sprout" / "__init__.py", folder / "__init__.py") if package else ():
        init.write_text(RAISES)
    (folder / "grow.py").write_text(RAISES + source)
    assert main(["--help"]) == 0
    told = capsys.readouterr()
    assert f"grow      {line or 'from stranger 1.0'}\n" in told.out and not told.err
    assert not [name for name in sys.modules if name.startswith("sprout")]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kasmina ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plugin"], "kasmina: no command is called 'plugin'; did you mean plugins? 'kasmina plugins' lists them"),
        (["--jsn"], "kasmina: no such option"),
        (["plugins", "--jsn"], "(try 'kasmina plugins --help')"),
        (["plugins", "show"], "kasmina: missing argument 'NAME' (try 'kasmina plugins show --help')"),
        (
            ["plugins", "show", "spiral"],
            "kasmina: no plugin is called 'spiral'; did you mean spirals? 'kasmina plugins'",
        ),
        (["plugins", "show", "mlp", "--kind", "task"], "kasmina: no task is called 'mlp'; "),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    assert main(arguments) == 2
    assert sentence.split("did you mean")[0] in said(capsys)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("raise __import__('kasmina.errors').errors.UsageError('two\\nlines')", 2, "kasmina: two lines"),
        ("raise __import__('kasmina.errors').errors.KasminaError('it failed')", 1, "kasmina: it failed"),
        ("raise click.BadParameter('bad')", 2, "kasmina: invalid value: bad"),
        ("raise click.ClickException('odd')", 1, "kasmina: odd"),
        ("1 / 0", 1, "kasmina: unexpected: ZeroDivisionError: division by zero (KASMINA_DEBUG=1 shows where)"),
    ],
)
def test_failures(capsys: pytest.CaptureFixture[str], command: Command, body: str, status: int, sentence: str) -> None:
    command(body)
    assert main(["it"]) == status
    assert said(capsys).startswith(sentence)


def test_debug_shows_where(
    capsys: pytest.CaptureFixture[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("1 / 0")
    monkeypatch.setenv("KASMINA_DEBUG", "1")
    assert main(["it"]) == 1
    assert "Traceback" in (err := capsys.readouterr().err) and "kasmina_test_command.py" in err


def test_interrupted(command: Command) -> None:
    command("raise KeyboardInterrupt")
    assert main(["it"]) == 130


def test_status_is_what_a_command_exits_with_and_not_what_it_returns(command: Command, plant: Plant) -> None:
    command("return 5")
    assert main(["it"]) == 0
    exits = COMMAND.format("click.get_current_context().exit(5)")
    plant("other", {"kasmina.commands": {"exits": "kasmina_test_exits:it"}}, {"kasmina_test_exits": exits})
    assert main(["exits"]) == 5


def test_a_broken_command_costs_one_line_and_never_the_rest(capsys: pytest.CaptureFixture[str], plant: Plant) -> None:
    plant("stranger", {"kasmina.commands": {"broken": "kasmina_test_absent:it", "number": "math:pi"}})
    assert main(["broken"]) == 1
    assert "the command 'broken' of stranger 1.0 cannot be loaded: its entry point kasmina_test_absent:it" in said(
        capsys
    )
    assert main(["number"]) == 1
    assert "the command 'number' of stranger 1.0 must be a click command; math:pi is a float" in said(capsys)
    assert main(["--help"]) == 0
    assert main(["plugins"]) == 0


def test_nobody_takes_an_own_command_over(capsys: pytest.CaptureFixture[str], command: Command) -> None:
    command("click.echo('taken')", name="plugins")
    assert main(["plugins"]) == 0
    assert "kasmina-core" in capsys.readouterr().out
    assert main(["stranger:plugins"]) == 0
    assert capsys.readouterr().out == "taken\n"
    assert main(["--help"]) == 0
    assert "stranger:plugins  Does it.\n" in capsys.readouterr().out


def test_disabled_command(
    capsys: pytest.CaptureFixture[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("pass")
    monkeypatch.setenv(DISABLE, "stranger")
    assert main(["it"]) == 2
    assert DISABLE in said(capsys)
    assert main(["--help"]) == 0
    assert "stranger" not in capsys.readouterr().out


# -- kasmina plugins ---------------------------------------------------------------------------------------------------

PLUGIN = '''import attrs
@attrs.define(eq=False)
class It:
    """Does it well."""
    size: int
    hidden: int = attrs.field(default=8, metadata={"help": "units in the middle"})
'''


def test_plugins_in_a_pipe_are_plain_lines(capsys: pytest.CaptureFixture[str], plant: Plant) -> None:
    plant("stranger", {"kasmina.blueprints": {"it": "kasmina_test_absent:It"}}, version="1.2.3")
    assert main(["plugins"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["blueprint", "it", "stranger", "1.2.3", "ready"] in rows
    assert ["task", "spirals", "kasmina-core", rows[-1][3], "default"] in rows


def test_plugins_on_a_terminal_are_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert "distribution" in out and "spirals" in out


def test_plugins_as_json(capsys: pytest.CaptureFixture[str], plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("stranger", {"kasmina.blueprints": {"it": "kasmina_test_absent:It"}})
    monkeypatch.setenv(DISABLE, "it")
    assert main(["plugins", "--json"]) == 0
    assert {
        "group": "kasmina.blueprints",
        "name": "it",
        "distribution": "stranger",
        "version": "1.0",
        "state": "disabled",
        "default": False,
    } in json.loads(capsys.readouterr().out)


def test_show(capsys: pytest.CaptureFixture[str], plant: Plant) -> None:
    points = {"kasmina.blueprints": {"it": "kasmina_test_shown:It"}, "kasmina.loggers": {"it": "kasmina_test_shown:It"}}
    plant("stranger", points, {"kasmina_test_shown": PLUGIN})
    assert main(["plugins", "show", "it"]) == 0
    out = capsys.readouterr().out
    assert "blueprint it, from stranger 1.0" in out and "logger it, from stranger 1.0" in out
    assert "\nDoes it well.\n" in out
    assert "hidden  int  default 8      units in the middle\n" in out
    assert "size    int  must be given\n" in out
    assert "kasmina run --blueprint it --set blueprint.size=VALUE\n" in out
    assert "--set loggers.it.size=VALUE\n" in out
    assert main(["plugins", "show", "it", "--kind", "logger"]) == 0
    assert "blueprint" not in capsys.readouterr().out


def test_show_of_a_duplicate_asks_which(capsys: pytest.CaptureFixture[str], plant: Plant) -> None:
    for name in ("one", "two"):
        plant(name, {"kasmina.blueprints": {"it": "kasmina_test_shown:It"}}, {"kasmina_test_shown": PLUGIN})
    assert main(["plugins", "show", "it"]) == 2
    assert "choose one:it or two:it" in said(capsys)
    assert main(["plugins", "show", "two:it"]) == 0


# -- in a process of its own -------------------------------------------------------------------------------------------

SPY = """
import sys
from kasmina.cli.main import main
assert main(sys.argv[1:]) == 0
heavy = {name.partition(".")[0] for name in sys.modules}
print("\\nHEAVY", sorted(name for name in heavy if name in ("torch", "numpy", "rich") or name.startswith("kasmina_")))
"""


def python(*arguments: str, cwd: Path | None = None, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    folders = filter(None, [str(path or ""), os.environ.get("PYTHONPATH")])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120)


LIGHT = [["--help"], ["plugins"], ["plugins", "--json"], ["--version"], ["check", "--help"], ["new", "--help"]]


@pytest.mark.parametrize("arguments", LIGHT)
def test_help_and_plugins_import_nothing_heavy(plant: Plant, arguments: list[str]) -> None:
    points = {f"kasmina.{kind}": {"it": "kasmina_stranger:It"} for kind in ("blueprints", "loggers", "commands")}
    home = plant("stranger", points, {"kasmina_stranger": PLUGIN})
    done = python("-c", SPY, *arguments, path=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_show_imports_just_that_plugin(plant: Plant) -> None:
    points = {"kasmina.blueprints": {"it": "kasmina_stranger:It", "other": "kasmina_other:It"}}
    home = plant("stranger", points, {"kasmina_stranger": PLUGIN, "kasmina_other": PLUGIN})
    done = python("-c", SPY, "plugins", "show", "it", path=home)
    assert done.stdout.splitlines()[-1] == "HEAVY ['kasmina_stranger']"


def test_the_working_folder_is_not_looked_into(plant: Plant, tmp_path: Path) -> None:
    here = plant("stranger", {"kasmina.blueprints": {"it": "kasmina_stranger:It"}}, {"kasmina_stranger": PLUGIN})
    assert "stranger" not in python("-m", "kasmina", "plugins", cwd=here).stdout
    assert "stranger" not in python("-c", SPY, "plugins", cwd=here).stdout
    assert "stranger" in python("-m", "kasmina", "plugins", path=here).stdout


def test_the_installed_command() -> None:
    script = shutil.which("kasmina", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("the script lies elsewhere than the interpreter")
    done = subprocess.run([script, "plug"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kasmina: no command is called 'plug'")


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
def test_a_closed_pipe_is_quiet() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kasmina", "plugins", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1
