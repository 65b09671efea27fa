"""The options of a run: which layer wins, what is refused, and that a run's config.yaml makes the same run again."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import attrs
import pytest
import yaml
from attrs import field, validators
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kasmina.errors import UsageError
from kasmina.growth.recipe import Recipe
from kasmina.plugins.catalog import Entry
from kasmina.plugins.structuring import structure
from kasmina.run.folder import Folder, text_of
from kasmina.run.options.config import PHASES, Config, Settings, configure
from kasmina.run.options.yaml import dump
from kasmina.run.plugin_set import PluginSet, written

NAMED = {"task": "spirals", "host": "mlp", "controller": "some", "blueprint": "any"}
"""Core has no controller and no blueprint that would be the default."""


@attrs.define(eq=False)
class Thing:
    """A plugin with an option of each sort."""

    size: int = field(default=3, validator=validators.ge(1))
    rate: float = 0.5
    word: str = "a"
    on: bool = True
    parts: tuple[int, ...] = (1, 2)
    path: Path | None = None
    label: str | None = None
    _hidden: list[int] = field(factory=list, init=False)


@pytest.fixture(autouse=True, scope="module")
def installed() -> Iterator[None]:
    """One logger is a default, whatever is installed here; and nobody reads the disk for it a thousand times."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("options.config", "plugin_set"):
            patch.setattr(f"kasmina.run.{module}.defaults", lambda kind: ["loud"] if kind == "logger" else [])
        yield


def told(file: Path, content: object, *sets: str, **options: object) -> Config:
    """What comes of a file with this content, these options of the command line, and these --set."""
    file.write_text(yaml.safe_dump(content))
    return configure(file, NAMED | options, sets)


def refusal(**arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        configure(**arguments)
    sentence = str(caught.value)
    assert sentence and "\n" not in sentence
    return sentence


# -- layers ------------------------------------------------------------------------------------------------------------


@given(*[st.none() | st.integers(1, 999)] * 3)
def test_a_later_layer_wins_over_an_earlier_one(
    tmp_path_factory: pytest.TempPathFactory, in_file: int | None, in_options: int | None, in_set: int | None
) -> None:
    file = tmp_path_factory.getbasetemp() / "layers.yaml"
    content = {} if in_file is None else {"batch": in_file}
    options = {} if in_options is None else {"batch": in_options}
    sets = [] if in_set is None else [f"batch={in_set}"]
    said = [value for value in (in_set, in_options, in_file) if value is not None]
    assert told(file, content, *sets, **options).settings.batch == (said[0] if said else None)


def test_of_two_sets_the_later_wins() -> None:
    assert configure(None, NAMED, ["batch=5", "batch=6"]).settings.batch == 6


def test_a_layer_leaves_alone_what_it_does_not_name(tmp_path: Path) -> None:
    content = {"growth": {"training": 7}, "blueprint": {"name": "any", "size": 4}, "phases": {"own": {"epochs": 3}}}
    config = told(tmp_path / "c.yaml", content, "growth.probation=9", "blueprint.word=b")
    assert config.settings.growth == Recipe(training=7, probation=9)
    assert config.blueprint.options == {"size": 4, "word": "b"}
    assert [phase.name for phase in config.phases] == [*PHASES, "own"]


def test_an_option_of_the_file_holds_for_the_plugin_that_is_named_later(tmp_path: Path) -> None:
    assert told(tmp_path / "c.yaml", {"host": {"hidden": 8}}).host.options == {"hidden": 8}


def test_another_plugin_does_not_inherit_the_options_of_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    content = {"host": {"name": "mlp", "hidden": 8}}
    assert told(file, content, host="mlp").host.options == {"hidden": 8}
    assert told(file, content, host="other").host.options == {}
    assert told(file, content, "host=other").host.options == {}
    assert told(file, content, "host=other", "host.depth=2").host.options == {"depth": 2}


@pytest.mark.parametrize("kind", NAMED)
def test_short_and_long_form_of_a_plugin_are_the_same(tmp_path: Path, kind: str) -> None:
    options = NAMED | {kind: "x"}
    short = configure(None, options)
    assert short == configure(None, NAMED | {kind: {"name": "x"}}) == configure(None, NAMED, [f"{kind}=x"])
    assert short.choices[kind].name == "x"


def test_short_and_long_form_of_loggers_are_the_same(tmp_path: Path) -> None:
    forms: list[object] = [["x", "y"], {"x": {}, "y": {}}]
    short, long = (told(tmp_path / "c.yaml", {"loggers": form}) for form in forms)
    assert short == long
    assert [logger.name for logger in long.loggers][-2:] == ["x", "y"]


def test_a_logger_that_is_false_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    assert "loud" not in [logger.name for logger in told(file, {"loggers": {"loud": False}}).loggers]
    assert "x" not in [logger.name for logger in told(file, {"loggers": ["x"]}, "loggers.x=false").loggers]
    assert "x" in [logger.name for logger in told(file, {"loggers": {"x": False}}, loggers={"x": {}}).loggers]


@pytest.mark.parametrize("number", ["1e-3", "1E-3", "1.e-3", "1.0e-3", "+1e-3", "0.001", "10e-4"])
def test_a_number_with_an_exponent_is_a_number(tmp_path: Path, number: str) -> None:
    (tmp_path / "c.yaml").write_text(f"learning_rate: {number}")
    assert configure(tmp_path / "c.yaml", NAMED).settings.learning_rate == 0.001
    assert configure(None, NAMED, [f"learning_rate={number}"]).settings.learning_rate == 0.001


@pytest.mark.parametrize("text", ["e-3", "1e", "1e3x", "v1e3", "1e-3-1"])
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert configure(None, NAMED, [f"task.path={text}"]).task.options == {"path": text}


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing yet\n")
    assert configure(tmp_path / "c.yaml", NAMED) == configure(None, NAMED)


# -- epochs ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 500), min_size=1, max_size=6).filter(any), st.integers(1, 5000))
@settings(deadline=None)
@example([20, 130, 50], 1)
@example([1, 1, 1], 200)
def test_epochs_sum_up_exactly_and_keep_the_proportions_within_rounding(lengths: list[int], epochs: int) -> None:
    phases = {name: {"epochs": 0} for name in PHASES} | {f"p{n}": {"epochs": own} for n, own in enumerate(lengths)}
    whole = configure(None, NAMED | {"phases": phases})
    scaled = configure(None, NAMED | {"phases": phases}, epochs=epochs)
    assert sum(phase.epochs for phase in scaled.phases) == epochs
    total = sum(lengths)
    for before, after in zip(whole.phases, scaled.phases, strict=True):
        assert after.epochs >= 0 and abs(after.epochs - before.epochs * epochs / total) <= 1
        assert attrs.evolve(after, epochs=before.epochs) == before
    assert configure(None, NAMED | {"phases": phases}, epochs=total) == whole


# -- config.yaml -------------------------------------------------------------------------------------------------------

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="eE"), max_size=12
)
NAME = st.text(ascii_lowercase, min_size=1, max_size=6)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 2**70),
        "rate": st.floats(allow_nan=False) | st.integers(-5, 5),
        "word": TEXT,
        "on": st.booleans(),
        "parts": st.lists(st.integers()),
        "path": st.none() | NAME,
        "label": st.none() | TEXT | st.sampled_from(["null", "yes", "0x1", "~", "2026-11-22", "- a", "a: b"]),
    },
)
POSITIVE = st.floats(0, 1e6, exclude_min=True)
RAW = st.fixed_dictionaries(
    {kind: OPTIONS.map(lambda options: {"name": "thing"} | options) for kind in NAMED}
    | {"loggers": st.dictionaries(NAME, OPTIONS | st.just(False), max_size=3)},
    optional={
        "sites": st.lists(TEXT.filter(bool), min_size=1, max_size=3),
        "seed": st.integers(0, 2**63 - 1),
        "split_seed": st.integers(0, 2**32 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda", "mps"]),
        "batch": st.integers(1, 10**6),
        "learning_rate": POSITIVE,
        "weight_decay": POSITIVE,
        "growth": st.fixed_dictionaries({}, optional=dict.fromkeys(["training", "blending", "probation"], POSITIVE)),
        "phases": st.dictionaries(
            NAME,
            st.fixed_dictionaries(
                {"epochs": st.integers(1, 99)},
                optional={"germinate": st.booleans(), "decay": st.sampled_from(["constant", "cosine"])},
            ),
            max_size=3,
        ),
    },
)


def made(config: Config) -> PluginSet:
    """The plugins of a config, every one of them a Thing."""
    chosen: dict[str, Any] = {kind: structure(choice.options, Thing, kind) for kind, choice in config.choices.items()}
    loggers = {choice.name: structure(choice.options, Thing, "logger") for choice in config.loggers}
    entry = Entry("task", "thing", "tests", "0", "ready", False, EntryPoint("thing", "x:Thing", "kasmina.tasks"))
    return PluginSet(**chosen, loggers=loggers, entries=dict.fromkeys(NAMED, entry))


def options_of(plugins: PluginSet) -> dict[str, Any]:
    return {kind: attrs.asdict(getattr(plugins, kind)) for kind in NAMED} | {
        name: attrs.asdict(logger) for name, logger in plugins.loggers.items()
    }


@given(RAW, st.none() | st.integers(1, 300))
@settings(deadline=None)
def test_config_yaml_makes_the_same_run_again(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any], epochs: int | None
) -> None:
    folder = Folder(tmp_path_factory.mktemp("run") / "run")
    first = configure(None, raw, epochs=epochs)
    plugins = made(first)
    sites = first.settings.sites or ("layers.*",)
    folder.make(text_of(written(first, plugins, sites)), lambda made: None)

    second = configure(folder.config)
    assert second.settings == attrs.evolve(first.settings, sites=tuple(sites))
    assert second.phases == first.phases
    assert [choice.name for choice in second.loggers] == [choice.name for choice in first.loggers]
    assert {kind: choice.name for kind, choice in second.choices.items()} == dict.fromkeys(NAMED, "thing")
    assert options_of(made(second)) == options_of(plugins)

    again = Folder(folder.path.with_name("again"))
    again.make(text_of(written(second, made(second), second.settings.sites)), lambda made: None)
    assert again.config.read_bytes() == folder.config.read_bytes()


def test_config_yaml_keeps_text_that_looks_like_a_number(tmp_path: Path) -> None:
    config = configure(None, dict.fromkeys(NAMED, "thing") | {"task": {"name": "thing", "word": "1e-3"}})
    folder = Folder(tmp_path / "run")
    folder.make(text_of(written(config, made(config), ["m"])), lambda made: None)
    assert configure(folder.config).task.options["word"] == "1e-3"


def test_config_yaml_holds_the_defaults_too(tmp_path: Path) -> None:
    config = configure(None, {kind: "thing" for kind in NAMED})
    folder = Folder(tmp_path / "run")
    folder.make(text_of(written(config, made(config), ["m"])), lambda made: None)
    raw = yaml.safe_load(folder.config.read_text())
    assert raw["host"] == {"name": "thing", "size": 3, "rate": 0.5, "word": "a", "on": True, "parts": [1, 2]} | {
        "path": None,
        "label": None,
    }
    assert {field.name for field in attrs.fields(Settings)} <= set(raw)


def test_a_default_logger_that_was_left_out_stays_out(tmp_path: Path) -> None:
    """Else a run that is made again from its config.yaml would have more loggers than it had."""
    config = configure(None, {kind: "thing" for kind in NAMED} | {"loggers": {"loud": False}})
    folder = Folder(tmp_path / "run")
    folder.make(text_of(written(config, made(config), ["m"])), lambda made: None)
    assert "loud" not in [choice.name for choice in configure(folder.config).loggers]
    assert "loud" in [choice.name for choice in configure(None, NAMED).loggers]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("hidden", ["--set hidden", "KEY=VALUE"]),
        ("=3", ["--set =3", "KEY=VALUE"]),
        ("host..hidden=3", ["--set host..hidden=3"]),
        (".=3", ["--set .=3"]),
        ("batch=[1", ["--set batch=[1", "YAML"]),
        ("batch.size=3", ["batch", "size"]),
        ("bach=3", ["bach", "batch"]),
        ("batch=3.5", ["batch", "3.5"]),
        ("batch=0", ["batch", "0"]),
        ("batch=true", ["batch", "True"]),
        ("batch=many", ["batch", "many"]),
        ("seed=", ["seed", "None"]),
        ("learning_rate=-1", ["learning_rate", "-1"]),
        ("learning_rate=0", ["learning_rate", "0"]),
        ("learning_rate=.nan", ["learning_rate", "nan"]),
        ("seed=-1", ["seed", "-1"]),
        ("split_seed=4294967296", ["split_seed"]),
        ("device=tpu", ["device", "tpu", "cpu"]),
        ("sites=layers.*", ["sites", "layers.*"]),
        ("growth=3", ["growth", "3"]),
        ("growth.blend=3", ["growth.blend", "blending"]),
        ("growth.blending=-1", ["growth", "blending", "-1"]),
        ("host=3", ["host", "3"]),
        ("host=[mlp]", ["host", "mlp"]),
        ("host.name=3", ["host", "3"]),
        ("loggers=rich", ["loggers", "rich"]),
        ("loggers.x=3", ["logger", "3"]),
        ("loggers.none.rows=3", ["loggers.none.rows", "no logger", "none"]),
        ("phases=3", ["phases", "3"]),
        ("phases.warmup.epochs=3", ["phases.warmup.epochs", "no phase", "warm-up"]),
        ("phases.warm-up=3", ["phases.warm-up", "3"]),
        ("phases.warm-up.epoch=3", ["phases.warm-up.epoch", "epochs"]),
        ("phases.warm-up.epochs=-3", ["phases.warm-up", "epochs", "-3"]),
        ("phases.warm-up.decay=steep", ["phases.warm-up.decay", "steep", "cosine"]),
        ("phases.own={germinate: true}", ["phases.own.epochs", "must be given"]),
    ],
)
def test_a_bad_word_is_one_line_that_names_its_place(word: str, parts: list[str]) -> None:
    sentence = refusal(options=NAMED, sets=[word])
    assert [part for part in parts if part not in sentence] == []


def test_no_epoch_at_all_is_refused() -> None:
    assert "phases" in refusal(options=NAMED, sets=[f"phases.{name}.epochs=0" for name in PHASES])


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"host: [", "is not YAML"),
        (b"a\tb: {", "is not YAML"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"- host\n- task\n", "mapping"),
        (b"just words", "mapping"),
        (b"3", "mapping"),
        (b"1: 2", "mapping"),
        (b"host: !!python/object/apply:os.getcwd []", "is not YAML"),
        (b"a: &a [*a]", ""),
    ],
)
def test_a_file_that_is_no_config_is_refused_with_its_name(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    sentence = refusal(file=tmp_path / "c.yaml", options=NAMED)
    assert part in sentence
    assert not part or "c.yaml" in sentence


def test_a_file_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    assert "none.yaml: No such file" in refusal(file=tmp_path / "none.yaml", options=NAMED)
    assert str(tmp_path) in refusal(file=tmp_path, options=NAMED)


KEYS = ["host", "task", "loggers", "phases", "warm-up", "growth", "sites", "batch", "name", "epochs", "seed", "x", ""]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, 1, None]), inner, max_size=3),
    max_leaves=5,
)
WORDS = st.builds(
    lambda path, value: ".".join(path)
    + "="
    + yaml.safe_dump(value, default_flow_style=True, width=9999).removesuffix("...\n").strip(),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=4),
    VALUES,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), st.lists(WORDS, max_size=3))
@settings(deadline=None, max_examples=100)
def test_whatever_is_said_is_taken_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], sets: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_text(yaml.safe_dump(content))
    try:
        assert isinstance(configure(file, NAMED, sets), Config)
    except UsageError as error:
        assert "\n" not in str(error)


# -- YAML that is no harm to read --------------------------------------------------------------------------------------

LISTS = "[&a [x, x]" + "".join(f", &{chr(98 + n)} [{f'*{chr(97 + n)}, ' * 9}]" for n in range(9)) + "]"
SNARES = [
    *("2020-13-45", "0000-00-00", "!!timestamp x", "!!int x", "!!int ''", "!!float x", "!!bool x"),
    *("[" * 5000, "[" * 400 + "]" * 400, "{a: " * 5000, LISTS),
    *(
        "&a [*a]",
        "&a {b: *a}",
        "&a {<<: *a}",
        "9" * 400,
        "9" * 5000,
        "0x" + "f" * 5000,
        f"-{2**1023}",
        "'" + "a" * 2**18 + "'",
        r'"\UFFFFFFFF"',
    ),
]
"""What PyYAML answers with Python's own errors, or never, or with values that cannot be shown."""


@pytest.mark.parametrize("snare", SNARES, ids=lambda snare: snare[:20])
def test_what_no_yaml_may_do_is_one_sentence(tmp_path: Path, snare: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"host: {{hidden: {snare}}}")
    assert str(file) in refusal(file=file)
    assert "--set host.hidden=" in refusal(options=NAMED, sets=[f"host.hidden={snare}"])


@pytest.mark.parametrize(
    "content", ["phases: {a: &a {epochs: 3}, b: *a}", "growth: {<<: *a}", "&a batch: 5", "seed: &a 3"]
)
def test_anchors_and_aliases_are_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(content)
    sentence = refusal(file=file, options=NAMED)
    assert str(file) in sentence and "anchors (&) and aliases (*) are refused: write it out" in sentence


def test_a_value_that_stands_twice_is_written_twice() -> None:
    shared = [1, 2]
    assert dump({"a": shared, "b": {"c": shared}}) == b"a:\n- 1\n- 2\nb:\n  c:\n  - 1\n  - 2\n"


def test_a_merge_without_an_alias_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("phases: {own: {<<: {epochs: 3}, germinate: false}}\nseed: 0x7f")
    config = configure(file, NAMED)
    assert [phase.epochs for phase in config.phases if phase.name == "own"] == [3]
    assert config.settings.seed == 127


@pytest.mark.parametrize(
    "option", ["learning_rate", "weight_decay", "growth.training", "growth.blending", "growth.probation"]
)
def test_no_length_and_no_rate_is_infinite(option: str) -> None:
    assert option.rpartition(".")[2] in refusal(options=NAMED, sets=[f"{option}=.inf"])


def test_a_stage_is_of_a_length_that_steps_can_count() -> None:
    assert "training" in refusal(options=NAMED, sets=["growth.training=1e308"])
    assert "candidates" in refusal(options=NAMED, sets=["growth.candidates=1000000000"])
