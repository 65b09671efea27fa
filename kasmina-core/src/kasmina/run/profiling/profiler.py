"""``--profile``: where the time of a run goes, measured in a few steps of each phase.

The profiler is the run's callback, and hands on to the callback that a run has otherwise. A run without it pays only
for four calls a step that do nothing.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from attrs import define, evolve, field

from kasmina.files import write_all
from kasmina.records import Observation, Stage
from kasmina.run.folder import Folder
from kasmina.run.profiling.profiles import FILE, Profile, read, text
from kasmina.run.profiling.recording import Recording
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.training import Callback, Training

STEPS, WARM = 10, 5
"""Number of steps that a profile is of, and that must have passed since the network last changed."""


@define(eq=False)
class Profiler(Callback):
    """Callback that profiles each phase early, and once more with seeds as soon as one has begun to blend in.

    A profile is of steps of one epoch and of one network, and ends with either. It is written when the epoch ends: a
    profile that a fault or Ctrl-C breaks off is taken again.
    """

    run: Training
    inner: Callback
    """Callback that the run has without a profile."""
    warn: Callable[[str], None]
    _profiles: dict[str, Profile] = field(init=False)
    """Profiles of this run so far, by name."""
    _fresh: dict[str, bytes] = field(factory=dict, init=False)
    """Contents of files that are not written yet, by name."""
    _network: tuple[str, int] | None = field(default=None, init=False)
    """Phase and version of the network in the step before."""
    _laps: list[float] = field(factory=list, init=False)
    """Milliseconds of each step since phase or network last changed."""
    _began: float = field(default=0.0, init=False)
    _recording: Recording | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._profiles = read(Folder(self.run.info.folder).profile)

    @contextmanager
    def steps(self) -> Iterator[None]:
        try:
            self._begin_step()
            yield
            self._end_step()
            self._finish()
        finally:
            if self._recording:
                self._recording.drop()
                self._recording = None

    def range(self, name: str) -> AbstractContextManager[None]:
        return self._recording.range(name) if self._recording else self.inner.range(name)

    def on_step(self) -> None:
        self.inner.on_step()
        self._end_step()
        self._begin_step()

    def on_epoch(self, observation: Observation) -> None:
        if self._fresh:
            self._write()
        self.inner.on_epoch(observation)

    def on_fault(self, fault: TrainingFault) -> None:
        self.inner.on_fault(fault)

    def _begin_step(self) -> None:
        network = self.run.growth.phase, self.run.growth.manager.version
        if network != self._network:
            self._finish()
            self._network, self._laps = network, []
        if not self._recording and self._due():
            self._recording = Recording(self.run, self._name())
        if self._recording:
            self._recording.begin()
        self._began = time.perf_counter()

    def _end_step(self) -> None:
        if not self._recording:
            self._laps.append(1000 * (time.perf_counter() - self._began))
            return
        self._recording.end()
        if self._recording.steps == STEPS:
            self._finish()

    def _due(self) -> bool:
        """Return whether a profile begins with the coming step."""
        place = self.run.course.find_phase(self.run.growth.epochs)
        if self._name() in self._profiles or place is None:
            return False
        phase, epoch = place
        steps, done = self.run.info.plan.steps_per_epoch, self.run.growth.batches
        roomy = not done or steps - done >= STEPS or epoch + 1 == phase.epochs
        return roomy and len(self._laps) >= min(WARM, phase.epochs * steps // 2)

    def _name(self) -> str:
        """Return the name of a profile taken now; files are named after it, and a phase may be called anything."""
        seeds = self.run.growth.live_seeds
        blended = any(seed.stage is not Stage.TRAINING for seed in seeds)
        return re.sub(r"[^\w.-]", "-", self.run.growth.phase)[:64] + "-with-seeds" * blended

    def _finish(self) -> None:
        """End the current profile, if there is one."""
        recording, self._recording = self._recording, None
        if recording:
            profile, trace, table = recording.stop()
            if self._laps:
                profile = evolve(profile, milliseconds=statistics.median(self._laps))
            name = recording.name
            self._profiles[name] = profile
            self._fresh |= {f"{name}.json.gz": trace, f"{name}.txt": table}

    def _write(self) -> None:
        """Write the new files; before a snapshot is taken, because loggers may remember what they are told."""
        contents, self._fresh = self._fresh | {FILE: text(self._profiles)}, {}
        folder = Folder(self.run.info.folder).profile
        try:
            folder.mkdir(exist_ok=True)
            write_all(folder, contents)
        except OSError as error:
            self.warn(f"{folder} cannot be written: {error.strerror or error}; the run goes on without this profile")
            return
        for name in contents:
            self.run.plugins.hooks.log_artifact(path=folder / name)
