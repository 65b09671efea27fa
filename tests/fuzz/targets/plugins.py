"""What distributions say of themselves: a folder of files on the module path, as a stranger's would lie there.

An input is a row of files, each `PATH newline CONTENT`, with a line of dashes between them; the first line of all is
what is typed.
"""

from __future__ import annotations

import io
import shlex
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from hypothesis import strategies as st

BETWEEN = b"\n----\n"
INFO = "stranger-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n"
POINTS = "[kasmina.blueprints]\nodd = nowhere:Thing\n\n[kasmina.commands]\nstrange = nowhere:cli\n"
COMMANDS = [
    *(
        "plugins",
        "plugins --json",
        "--help",
        "plugins show odd",
        "plugins show stranger:odd",
        "strange",
        "stranger:strange",
    ),
    *(
        "plugins show ''",
        "plugins show mlp",
        "plugins show run --kind command",
        "plugins show 'a b'",
        "plugins show :",
        "odd --help",
    ),
]


def prepare() -> None:
    import kasmina.cli.main
    import kasmina.cli.plugins  # noqa: F401
    import kasmina.plugins.installed as installed

    # Of what is installed really, Kasmina alone: a hundred others would be read again for each input.
    read = installed.distributions
    own = [one for one in read() if str(one.metadata["Name"]).startswith("kasmina")]
    installed.distributions = lambda path: [*read(path=path[:1]), *own]


def case(command: str, *files: tuple[str, str]) -> bytes:
    """An input of these files (path, content)."""
    return BETWEEN.join(
        [
            command.encode("utf-8", "surrogatepass"),
            *(f"{path}\n{content}".encode("utf-8", "surrogatepass") for path, content in files),
        ]
    )


def corpus() -> list[bytes]:
    meta, points = (f"{INFO}/METADATA", METADATA), (f"{INFO}/entry_points.txt", POINTS)
    both = [case(command, meta, points) for command in COMMANDS]
    alone = [case(command, part) for command in ("plugins", "--help") for part in (meta, points)]
    twins = case(
        "plugins",
        meta,
        points,
        ("other-2.dist-info/METADATA", METADATA.replace("stranger", "other")),
        ("other-2.dist-info/entry_points.txt", POINTS),
    )
    return [*both, *alone, twins]


_ODD = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "odd",
            "run",
            "plugins",
            "mlp",
            "a b",
            "é",
            "日本",
            "\0",
            "\x1b[31m",
            "\ud800",
            "a" * 5000,
            "a:b",
            ":",
            "::",
        ]
        + [
            "nowhere:Thing",
            "os:system",
            "os",
            "os:",
            ":x",
            "os:path.nothing.x",
            "a.b.c:d.e",
            "1:2",
            "os:path [extra]",
            "=",
            "#x",
        ]
        + [
            "json:loads",
            "sys:maxsize",
            "kasmina.hosts.mlp:MLP",
            "builtins:object",
            "builtins:int",
            "click:Command",
            "[x]",
            "%s",
        ]
        + [
            "{}",
            "%(here)s",
            "${x}",
            "\u2028",
            "\u202e",
            "kasmina-core",
            "Kasmina_Core",
            "1.0",
            "not a version",
            "-1",
            "9" * 5000,
        ]
    ).filter(lambda word: word != "os:system"),
    st.text(max_size=10),
)
_GROUPS = st.one_of(
    st.sampled_from(
        [
            f"kasmina.{kind}"
            for kind in ("blueprints", "controllers", "loggers", "hosts", "tasks", "commands", "defaults")
        ]
    ),
    _ODD,
)


@st.composite
def _distributions(draw: st.DrawFn) -> bytes:
    """One or two distributions whose every word may be odd, and whose every file may be missing."""
    files = []
    for number in range(draw(st.integers(1, 2))):
        folder = draw(
            st.sampled_from([INFO, "stranger-1.0.egg-info", ".dist-info", "x.dist-info", f"s{number}-2.dist-info"])
        )
        name, version = draw(st.one_of(st.just("stranger"), _ODD)), draw(st.one_of(st.just("1.0"), _ODD))
        head = draw(
            st.sampled_from(
                [METADATA, f"Name: {name}\nVersion: {version}\n", f"Name: {name}\n", f"Version: {version}\n", name, ""]
            )
        )
        if draw(st.integers(0, 9)):
            files.append((f"{folder}/{draw(st.sampled_from(['METADATA'] * 8 + ['PKG-INFO', 'metadata']))}", head))
        points = ""
        for _ in range(draw(st.integers(0, 3))):
            points += f"[{draw(_GROUPS)}]\n"
            for _ in range(draw(st.integers(0, 3))):
                points += f"{draw(_ODD)}{draw(st.sampled_from([' = ', '=', ' ', ':']))}{draw(_ODD)}\n"
        if draw(st.integers(0, 9)):
            files.append((f"{folder}/entry_points.txt", points))
    command = draw(st.one_of(st.sampled_from(COMMANDS), _ODD.map(lambda word: f"plugins show {shlex.quote(word)}")))
    data = case(command, *files)
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=6)) + data[place + draw(st.integers(0, 6)) :]
    return data


STRATEGY = _distributions()


def check(data: bytes, folder: Path) -> None:
    home = folder / "site"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    command, *files = data.split(BETWEEN)
    for file in files:
        path, _, content = file.partition(b"\n")
        plant(home, path, content)
    try:
        words = shlex.split(command.decode("utf-8", "surrogateescape"))
    except ValueError:
        words = ["plugins"]
    # The commands that list and show, and nothing that would begin a run; a stranger's fails to be imported.
    if words[:1] not in (["plugins"], ["--help"], ["strange"], ["stranger:strange"], ["odd"]):
        words = ["plugins"]
    sys.path.insert(0, str(home))
    try:
        typed(words)
    finally:
        sys.path.remove(str(home))


def plant(home: Path, path: bytes, content: bytes) -> None:
    """A file at a path that a fuzzer made, if that is one below `home`."""
    parts = path.decode("utf-8", "replace").split("/")
    if len(parts) > 3 or any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > 200 for part in parts):
        return
    where = home.joinpath(*parts)
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content)
    except OSError:  # a file where a folder is due
        pass


def typed(words: list[str]) -> None:
    """What a user would type; a refusal is raised again as what it was, anything else that was not to be as a fault."""
    from kasmina.cli.main import main
    from kasmina.errors import KasminaError

    out, err = _stream("strict"), _stream("backslashreplace")
    with redirect_stdout(out), redirect_stderr(err):
        status = main(words)
    out.flush()
    err.flush()
    said = err.buffer.getvalue().decode("utf-8")
    lines = [line for line in said.splitlines() if not line.startswith("kasmina: warning: ")]
    if status == 0 and not lines:
        return
    if "unexpected:" in said or status not in (0, 1, 2) or len(lines) != 1 or not lines[0].startswith("kasmina: "):
        raise AssertionError(f"status {status}, standard error: {said[:2000]}")
    raise KasminaError(lines[0])


def _stream(errors: str) -> io.TextIOWrapper:
    """As Python's own: standard output is strict about what UTF-8 cannot say, standard error is not."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors)
