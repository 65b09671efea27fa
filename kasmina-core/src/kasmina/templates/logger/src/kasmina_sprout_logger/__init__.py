"""What the logger `sprout` writes."""

from pathlib import Path

import attrs

from kasmina import Event, Metrics, RunInfo, hookimpl

FORMAT = "{name} {value:.6g}"  # EDIT THIS LINE: how one number is written


@attrs.define(eq=False)
class Sprout:
    """Writes metrics and changes of seeds as plain text into the run's folder."""

    file: str = attrs.field(default="sprout.txt", metadata={"help": "name of the file in the run's folder"})
    _path: Path | None = attrs.field(default=None, init=False)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._path = run.folder / self.file
        self._write(f"run {run.name}: task {run.choices.task}, host {run.choices.host}, {run.parameters} parameters")

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        numbers = "  ".join(FORMAT.format(name=name, value=value) for name, value in metrics.as_dict().items())
        self._write(f"epoch {step}: {numbers}")

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        seed = event.seed
        self._write(
            f"epoch {event.epoch}: seed {seed.id} at {seed.site}, {event.before} -> {seed.stage}: {event.reason}"
        )

    @hookimpl
    def on_run_end(self) -> None:
        self._path = None

    def _write(self, line: str) -> None:
        if self._path is not None:  # a run that fails early may end before it began
            with self._path.open("a", encoding="utf-8") as file:
                file.write(" ".join(line.split()) + "\n")
