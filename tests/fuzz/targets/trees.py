"""YAML of the right shape with wrong parts: mappings as flow text, in which any value may be any snippet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

LAUGHS = "[&a [x,x,x,x,x,x,x,x,x]" + "".join(
    f", &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)
)
MERGES = "[&a {x: 1}" + "".join(f", &{chr(98 + n)} {{<<: [{','.join([f'*{chr(97 + n)}'] * 9)}]}}" for n in range(9))

SNIPPETS = [
    *("", "~", "true", "false", "0", "-1", "1", "2", "3", "1.5", "1e3", "1e400", "-.inf", ".inf", ".nan", "'8'", "''"),
    *("9" * 20, "9" * 400, "9" * 5000, "-" + "9" * 400, "0x" + "f" * 5000, "0b1", "0o7", "1_0", "1:30", "1:" * 500),
    *("1000000", "1000000000", "1000000000000", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *("2020-01-01", "2020-13-45", "2020-01-01 99:99:99", "0000-00-00", "!!timestamp x", "!!int x", "!!float x"),
    *(
        "!!int ''",
        "!!bool x",
        "!!null x",
        "!!binary '@@@@'",
        "!!binary é",
        "!!binary AAAA",
        "!!set {a, b}",
        "!!omap [a: 1]",
    ),
    *(
        "!!pairs [a: 1]",
        "!!python/object/apply:os.system [x]",
        "!!python/name:os.system",
        "!own x",
        "!!str [a]",
        "!!seq {a: 1}",
    ),
    *(
        "!!map [a]",
        "[]",
        "{}",
        "[[]]",
        "[1, a, ~]",
        "{a: 1}",
        "{1: 2}",
        "{~: 1}",
        "{[a]: 1}",
        "{{a: 1}: 2}",
        "{a: 1, a: 2}",
    ),
    *("{true: 1}", "{1.5: 1}", "{2020-01-01: 1}", "{!!binary AAAA: 1}", "{name: 3}", "{name: ~}", "{name: x, y: z}"),
    *("&a [*a]", "&a {a: *a}", "&a {b: {c: *a}}", "*gone", "{<<: *gone}", "{<<: x}", "{<<: [1]}", "&x {<<: *x}"),
    *(
        '"\\ud800"',
        '"\\0"',
        '"\\x1b[31m"',
        "'\\n'",
        '"\\U0010FFFF"',
        '"\\uFEFF"',
        '"a\\nb"',
        "é",
        "日本",
        "a" * 70000,
        "'*'",
    ),
    *(
        "[" * 200 + "]" * 200,
        "[" * 10000,
        "{a: " * 10000,
        "[" * 3000 + "]" * 3000,
        "- " * 3000,
        LAUGHS + "]",
        MERGES + "]",
    ),
    *(
        "spirals",
        "mlp",
        "rich",
        "jsonl",
        "../../x",
        "/",
        "~",
        "'~nobody/x'",
        "auto",
        "cuda",
        "cosine",
        "sites",
        "*",
        "layers.*",
    ),
]
"""YAML's own snares, numbers at the ends of what machines hold, and words that mean something in another place."""


def text(value: Any) -> str:
    """A tree of mappings and lists in flow style; a string in it is a snippet as it is."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "~", True: "true", False: "false"}[value]
    return str(value)


def words() -> st.SearchStrategy[str]:
    """Any snippet, or free text between quotes."""
    free = st.text(max_size=20).map(lambda word: "'" + word.replace("'", "''") + "'")
    numbers = st.one_of(st.integers(), st.floats()).map(str)
    return st.one_of(st.sampled_from(SNIPPETS), numbers, free)


def places(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every value in nested mappings."""
    own = [path] if path else []
    inner = (
        [place for key, item in tree.items() for place in places(item, (*path, key))] if isinstance(tree, dict) else []
    )
    return own + inner


@st.composite
def mutated(draw: st.DrawFn, tree: Any) -> Any:
    """`tree` (nested mappings) with some values replaced, removed or added."""
    tree = copied(tree)
    for _ in range(draw(st.integers(1, 3))):
        known = places(tree)
        if not known:
            break
        *parents, last = draw(st.sampled_from(known))
        place = tree
        for key in parents:
            place = place[key]
        match draw(st.integers(0, 9)):
            case 0:
                del place[last]
            case 1:
                place[
                    draw(st.sampled_from(["name", "x", "1", "~", "''", "hidden", "epochs", "? [a]", '"\\ud800"']))
                ] = draw(words())
            case _:
                place[last] = draw(words())
    return tree


def copied(tree: Any) -> Any:
    return {key: copied(item) for key, item in tree.items()} if isinstance(tree, dict) else tree
