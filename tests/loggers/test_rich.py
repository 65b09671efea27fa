"""The screen of a run: live on a terminal, plain lines into a pipe."""

from __future__ import annotations

import io
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from kasmina import Event, Incident, Metrics, Phase, Plan, RunInfo, SeedState, Site, Stage
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina_loggers.rich import Rich
from kasmina_loggers.rich.plain_text import PlainText
from kasmina_loggers.rich.progress import Progress
from kasmina_loggers.rich.screen import Screen
from kasmina_loggers.rich.summary_rows import end_rows, network_text

ESCAPE = "\x1b"
HIDE_CURSOR, SHOW_CURSOR = f"{ESCAPE}[?25l", f"{ESCAPE}[?25h"


def terminal(width: int = 100, height: int = 40, file: io.StringIO | None = None, **extra: Any) -> Console:
    file = io.StringIO() if file is None else file
    environment = {"TERM": "xterm-256color"} | extra
    return Console(file=file, force_terminal=True, width=width, height=height, _environ=environment)


def on(console: Console, **options: Any) -> Rich:
    logger = Rich(**options)
    logger.console = console
    return logger


def into_pipe(**options: Any) -> tuple[Rich, io.StringIO]:
    file = io.StringIO()
    return on(Console(file=file, _environ={}), **options), file


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(rf"{ESCAPE}\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


@contextmanager
def screen(course: Any, logger: Rich) -> Iterator[Screen]:
    """The screen of a run that has begun, put away at the end."""
    course.hooks.on_run_start(run=course.run)
    course.hooks.on_phase_start(phase=course.run.plan.phases[-1], run=course.run)
    assert isinstance(logger._views[0], Screen)
    try:
        yield logger._views[0]
    finally:
        logger._views[0].close()


def drawn(view: Screen, width: int, height: int = 40) -> list[str]:
    """The live part alone, as lines."""
    console = Console(file=io.StringIO(), width=width, height=height, _environ={})
    view.console = console
    console.print(view.draw())
    return text_of(console).splitlines()


def germinate(course: Any, seed: int, stage: Stage, site: str = "layers.1", reason: str = "", **state: Any) -> None:
    now = SeedState(seed, site, "bottleneck", stage, state.pop("alpha", 1.0), 96, seed, **state)
    course.hooks.on_seed_change(event=Event(seed, 4 * seed, "adaptation", now, Stage.DORMANT, reason))


# -- into a pipe ------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_plain_lines(course_of: Callable[..., Any]) -> None:
    logger, file = into_pipe()
    course = course_of(logger)
    course.play()
    lines = file.getvalue().splitlines()
    assert ESCAPE not in file.getvalue()
    assert lines[0] == "kasmina run first"
    assert sum("train loss" in line for line in lines) == 20
    assert sum(" -> " in line for line in lines) == len(course.events)
    assert (
        "epoch  24/120  seed 1 at layers.1: dormant -> training; germinated bottleneck, 68 parameters"
        in file.getvalue()
    )
    assert "test        accuracy 0.9712, target 0.95 reached" in lines
    assert "cost        4.56 GFLOP in 42 s" in lines


@pytest.mark.parametrize(("most", "told"), [(20, 20), (7, 7), (500, 120)])
def test_metrics_are_told_a_few_times(course_of: Callable[..., Any], most: int, told: int) -> None:
    logger, file = into_pipe(lines=most)
    course_of(logger).play()
    assert file.getvalue().count("train loss") == told


def test_force_color_and_odd_letters_do_not_disturb_a_narrow_encoding(course_of: Callable[..., Any]) -> None:
    raw = io.BytesIO()
    logger = on(Console(file=io.TextIOWrapper(raw, encoding="ascii"), _environ={"TERM": "dumb", "FORCE_COLOR": "1"}))
    course = course_of(logger)
    course.hooks.on_run_start(run=course.run)
    germinate(course, 1, Stage.TRAINING, reason="π → stalled\n\x1b[31mred")
    logger.console.file.flush()
    assert raw.getvalue().decode("ascii").splitlines()[-1].endswith("? ? stalled [31mred")


# -- on a terminal ----------------------------------------------------------------------------------------------------


def test_a_terminal_tells_the_whole_story(course_of: Callable[..., Any]) -> None:
    console = terminal(140)
    course_of(on(console)).play()
    text = text_of(console)
    for word in (
        "Kasmina  first",
        "spirals",
        "heuristic",
        "warm-up",
        "germinated bottleneck",
        "it contributes nothing",
    ):
        assert word in text
    assert re.search(r"36 +seed 1 +layers\.1 +active +contribution \+0\.0213; the validation loss would rise", text)
    assert re.search(r"parameters +105 to 637, 6\.1 times as many", text)
    assert ESCAPE + "[" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_live_part_shows_bars_numbers_and_seeds(course_of: Callable[..., Any]) -> None:
    logger = on(terminal())
    course = course_of(logger)
    with screen(course, logger) as view:
        germinate(course, 1, Stage.BLENDING, alpha=0.25)
        course.hooks.log_metrics(
            metrics=attrs.evolve(course.metrics(30), seeds=living((1, Stage.BLENDING, 0.5))), step=30
        )
        course.hooks.on_step_end(step=122)
        lines = drawn(view, 110)
        assert view.progress.batch == 2
    text = "\n".join(lines)
    assert re.search(r"run .* 30/120 ", text) and re.search(r"adaptation .* 10/100 ", text)
    assert re.search(r"0\.3359 +0\.3527 +0\.7600 +0\.003 +105", text)
    assert re.search(r"1 +layers\.1 +bottleneck +blending .* 0\.50 +- +96", text)


def test_of_many_seeds_the_living_are_shown(course_of: Callable[..., Any]) -> None:
    logger = on(terminal())
    course = course_of(logger)
    with screen(course, logger) as view:
        germinate(course, 1, Stage.BLENDING)
        for seed in range(2, 31):
            germinate(course, seed, Stage.ACTIVE)
        germinate(course, 31, Stage.CULLED, alpha=0.0)
        text = "\n".join(drawn(view, 100))
    assert [int(seed) for seed in re.findall(r"^ +(\d+) +layers", text, re.M)] == [1, *range(24, 31)]
    assert "… and 22 more" in text


def test_a_resumed_run_counts_from_where_it_stands(course_of: Callable[..., Any]) -> None:
    logger = on(terminal())
    course = course_of(logger)
    with screen(course, logger) as view:
        course.hooks.on_step_end(step=4 * 60 + 1)
        assert (view.progress.epoch, view.progress.batch) == (60, 1)
        course.hooks.log_metrics(metrics=metrics_of(1.0), step=61)
        assert view.progress.seconds_left < 60 * 60  # type: ignore[operator]
        assert any("61/120" in line for line in drawn(view, 80))


def living(*seeds: tuple[int, Stage, float]) -> tuple[SeedState, ...]:
    return tuple(SeedState(id, "layers.1", "bottleneck", stage, alpha, 96, 30) for id, stage, alpha in seeds)


def test_a_resumed_run_learns_of_its_seeds_at_the_first_epochs_end(course_of: Callable[..., Any]) -> None:
    logger = on(terminal())
    course = course_of(logger)
    with screen(course, logger) as view:
        germinate(course, 5, Stage.TRAINING)  # within the first epoch, so it changed last
        there = living(
            (1, Stage.ACTIVE, 1.0), (3, Stage.CULLED, 0.5), (4, Stage.CULLED, 0.0), (5, Stage.BLENDING, 0.25)
        )
        course.hooks.log_metrics(metrics=metrics_of(seeds=there), step=61)
        assert list(view.progress.seeds) == [1, 3, 5] and view.progress.seeds[5] == there[-1]
        course.hooks.log_metrics(
            metrics=metrics_of(seeds=there[:1]), step=61
        )  # it went back: what is not there is gone
        assert list(view.progress.seeds) == [1]
        assert re.search(r"1 +layers\.1 +bottleneck +active", "\n".join(drawn(view, 110)))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_the_pace_counts_the_steps_that_this_process_did(make_run: Any, make_course: Any, steps: list[int]) -> None:
    """From wherever, and however often it goes back: an epoch takes as long as so many steps do."""
    with pytest.MonkeyPatch.context() as patch:
        now = [100.0]
        patch.setattr("kasmina_loggers.rich.progress.time.monotonic", lambda: now[0])
        course = Progress(make_run(Path("runs")))
        course._started = now[0]
        for step in steps:
            now[0] += 0.5
            course.take_step(step)
            assert course.epoch == (step - 1) // 4 and 1 <= course.batch <= 4
        assert course.seconds_per_epoch is None
        course.finish_epoch(metrics_of(), course.epoch + 1)
        assert course.seconds_per_epoch == pytest.approx(2.0)


def test_an_incident_is_one_line(course_of: Callable[..., Any], run: RunInfo) -> None:
    incident = Incident(
        26, 104, "adaptation", "rollback", "the training loss is nan\nat step 105", "culled", "layers.1", 2
    )
    due = "the training loss is nan at step 105; seed 2 at site layers.1; culled"
    for logger in (into_pipe()[0], on(terminal(120))):
        hooks = course_of(logger).hooks
        hooks.on_incident(incident=incident)  # no run is on
        hooks.on_run_start(run=run)
        hooks.on_incident(incident=incident)
        hooks.on_incident(incident=Incident(27, 108, "adaptation", "refusal", "a third seed is over the budget"))
        hooks.on_run_end(run=run, summary={})
        text = text_of(logger.console)
        assert re.search(rf" 26.* rollback +at step 104: {due}", text)
        assert re.search(r" 27.* refusal +at step 108: a third seed is over the budget *\r?\n", text)


@pytest.mark.parametrize("width", [60, 72, 80, 100, 200])
def test_fits_any_terminal(make_run: Any, make_course: Any, tmp_path: Path, width: int) -> None:
    names = [f"encoder.layer.{i}.attention.output.dense" for i in range(12)]
    phase = Phase(120, name="a-phase-with-a-name-of-some-length")
    run = make_run(tmp_path, plan=Plan((phase,), 4), sites=tuple(Site(name, "vector", (8,), (8,)) for name in names))
    logger = on(terminal(width, 16))
    course = make_course(run, logger)
    with screen(course, logger) as view:
        for seed in range(1, 31):
            germinate(course, seed, Stage.ACTIVE, names[seed % 12], contribution=-0.0123)
        seeds = tuple(view.progress.seeds.values())
        course.hooks.log_metrics(metrics=attrs.evolve(course.metrics(30), seeds=seeds), step=30)
        lines = drawn(view, width, 16)
    assert max(map(len, lines)) <= width and len(lines) <= 16
    assert len({re.search("[━─]", line).start() for line in lines[1:3]}) == 1  # type: ignore[union-attr]
    assert re.search(r"30 +\S+dense +.*active +.*1\.00 +-0\.0123 +96", "\n".join(lines))


def test_no_color_leaves_only_weights(course_of: Callable[..., Any]) -> None:
    console = terminal(NO_COLOR="1")
    course_of(on(console)).play()
    styles = re.findall(rf"{ESCAPE}\[([0-9;]*)m", console.file.getvalue())  # type: ignore[attr-defined]
    assert set(styles) <= {"0", "1", ""}


def test_stderr_of_others_goes_above(course_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tty = io.StringIO()
    tty.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", tty)
    console = terminal()
    logger = on(console)
    with screen(course_of(logger), logger):
        print("UserWarning: somebody [bold]warns", file=sys.stderr)
    assert "UserWarning: somebody [bold]warns\n" in text_of(console)
    assert sys.stderr is tty


def test_stderr_in_a_file_stays_there(course_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    logger = on(terminal())
    with screen(course_of(logger), logger):
        print("a warning", file=sys.stderr)
    assert file.getvalue() == "a warning\n"


# -- however it ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["finished", "stopped", "failed"])
def test_the_terminal_is_given_back(course_of: Callable[..., Any], status: str) -> None:
    console, threads, stdout = terminal(), set(threading.enumerate()), sys.stdout
    course_of(on(console)).play(status, test=None, validation=None, error="loss became NaN\nat step 40")
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert written.count(HIDE_CURSOR) == written.count(SHOW_CURSOR) == 1
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=1)  # It was told to end, and does at its next turn.
    assert set(threading.enumerate()) <= threads and sys.stdout is stdout
    assert re.search(rf"status +{status}\s+error +loss became NaN at step 40", text_of(console))
    assert "test  " not in text_of(console)


def test_a_run_that_fails_early_says_so(course_of: Callable[..., Any]) -> None:
    for logger, console in ((on(screen_ := terminal()), screen_), (into_pipe()[0], None)):
        course = course_of(logger)
        course.hooks.on_run_end(run=course.run, summary={"status": "failed"})  # Before it began: nothing to show.
        course.hooks.on_run_start(run=course.run)
        course.hooks.on_run_end(run=course.run, summary={"status": "failed", "error": "no such device"})
        assert "no such device" in text_of(console or logger.console)


def test_a_screen_that_breaks_is_closed(course_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    console = terminal()
    course = course_of(on(console))
    course.hooks.on_run_start(run=course.run)
    monkeypatch.setattr(Screen, "change", lambda self, event: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        germinate(course, 1, Stage.TRAINING)
    assert SHOW_CURSOR in console.file.getvalue()  # type: ignore[attr-defined]


# -- laws -------------------------------------------------------------------------------------------------------------

floats = st.floats() | st.none()
seeds = st.builds(
    SeedState,
    id=st.integers(1, 40),
    site=st.sampled_from(["layers.0", "layers.1", "漢字"]) | st.text(max_size=30),
    blueprint=st.sampled_from(["bottleneck", "[/bold]"]),
    stage=st.sampled_from(Stage),
    alpha=st.floats(0, 1),
    parameters=st.integers(0),
    germinated_at=st.integers(1, 120),
    contribution=floats,
)
events = st.builds(
    Event,
    epoch=st.integers(0, 200),
    step=st.integers(0),
    phase=st.just("adaptation"),
    seed=seeds,
    before=st.sampled_from(Stage),
    reason=st.text(max_size=30) | st.just("[red]"),
)
epochs = st.builds(
    Metrics,
    train_loss=st.floats(),
    validation_loss=st.floats(),
    validation_metric=st.floats(),
    metric=st.just("accuracy"),
    learning_rate=st.floats(),
    parameters=st.integers(0),
    flops=st.integers(0),
    seeds=st.lists(seeds, max_size=3).map(tuple),
)


@settings(deadline=None, max_examples=40)
@given(course=st.lists(events | epochs), width=st.integers(60, 200), live=st.booleans())
def test_any_order_of_stages_and_any_numbers_can_be_shown(
    make_run: Any, make_course: Any, course: list[Any], width: int, live: bool
) -> None:
    console = terminal(width) if live else Console(file=io.StringIO(), _environ={})
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder))
    player = make_course(run, on(console))
    player.hooks.on_run_start(run=run)
    for epoch, what in enumerate(course):
        if isinstance(what, Event):
            player.hooks.on_seed_change(event=what)
        else:
            player.hooks.log_metrics(metrics=what, step=epoch)
    summary = player.summary("stopped") | {"seeds": [attrs.asdict(e.seed) for e in course if isinstance(e, Event)]}
    player.hooks.on_run_end(run=run, summary=summary)
    assert "stopped" in text_of(console)


@pytest.mark.parametrize(
    ("epoch", "due"),
    [(9, "best epoch 9 of 12; the last has validation 0.9500, 70 parameters"), (12, "best epoch 12 of 12"), (0, "")],
)
def test_the_end_says_which_epoch_counts_and_what_the_last_reached(epoch: int, due: str) -> None:
    last = {"epoch": 12, "test": None, "validation": 0.95, "parameters": 70}
    best = {"epoch": epoch, "validation": 0.96, "loss": 0.1} if epoch else None
    assert network_text({"best": best, "last": last, "epochs": 12}) == due


def test_the_end_compares_with_what_needs_no_growth_and_tells_of_phases_that_ended_early(run: RunInfo) -> None:
    early = "adaptation ended after epoch 8 of 20: no better validation loss for 5 epochs"
    summary = {
        "constant": {"test": 0.5, "validation": 0.51},
        "warm_up": {"epoch": 4, "validation": 0.66, "loss": 0.6, "parameters": 17},
        "phases": [{"name": "warm-up", "ended": None}, {"name": "adaptation", "ended": early}],
    }
    rows = dict(end_rows(summary, run))
    due = "a constant predictor has validation 0.5100, the host alone 0.6600 after epoch 4"
    assert rows["compare"] == due and rows["early"] == early


def test_the_view_is_chosen_by_the_output(run: RunInfo) -> None:
    from kasmina_loggers.rich.progress import Progress as State

    assert isinstance(on(terminal())._view_of(State(run)), Screen)
    for plain in (Console(file=io.StringIO(), _environ={}), terminal(TERM="dumb")):
        assert isinstance(on(plain)._view_of(State(run)), PlainText)


def test_every_option_has_help() -> None:
    options = {field.name: field for field in attrs.fields(Rich) if field.init}
    assert list(options) == ["rows", "refresh", "lines", "picture"]
    assert all(field.metadata["help"] for field in options.values())
    with pytest.raises(ValueError, match="rows"):
        Rich(rows=0)


def test_a_picture_shows_the_course_and_the_end(course_of: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "run.svg"
    logger, _ = into_pipe(picture=str(path))
    course_of(logger).play()
    text = path.read_text()
    assert text.startswith("<svg")
    for word in ("germinated", "active", "finished"):
        assert word in text
