"""The command of the bench: runs what is due, and shows what there is."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from decisions.contestants import Contestant, contestants, missing, named
from decisions.figures import Figures
from decisions.lines import Job, Line, Lines
from decisions.pool import run_all
from decisions.report import show
from decisions.run import check
from decisions.tasks import TASKS, Task

QUICK = ("default", "never", "static-8", "static-64", "linear")
"""Contestants of a quick look."""


def main() -> None:
    args = parser().parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = 200
    if args.check:
        for task in chosen(args):
            console.print(f"{task.name}: {check(task).x.shape}, {task.goal}{', held out' if task.held_out else ''}")
        return
    lines = Lines(args.out or Path("runs/decisions" if args.epochs is None else f"runs/decisions-{args.epochs}-epochs"))
    console.print(f"Results: {lines.path}")
    if not args.show:
        begin(args, lines, console)
    names = {task.name for task in chosen(args)}
    show(Figures([line for line in lines.all() if line["task"] in names]), console, args.markdown)


def begin(args: argparse.Namespace, lines: Lines, console: Console) -> None:
    """Run what is due."""
    absent = missing()
    if skipped := sorted(absent & {one.name for task in chosen(args) for one in entered(args, task)}):
        console.print(f"Left out, because no controller of that name is installed: {', '.join(skipped)}.")
    jobs = [job for job in all_jobs(args) if job.contestant.name not in absent]
    due = lines.due(jobs, args.retry)
    console.print(f"{len(jobs)} runs, {len(jobs) - len(due)} of them done already.")
    columns = (SpinnerColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        bar = progress.add_task("", total=len(due))

        def done(job: Job, line: Line) -> None:
            lines.add(job, line)
            if line.get("error"):
                progress.print(
                    f"{job.task.name}, {job.contestant.name}, seed {job.seed}: {line['error']}", markup=False
                )
            progress.update(bar, advance=1, description=f"{job.task.name} {job.contestant.name} {job.seed}")

        def sizes(job: Job) -> int | None:
            line = lines.by_key.get(Job(job.task, Contestant("default"), job.seed).key, {})
            return line["parameters"]["final"] if line.get("parameters") else None

        try:
            run_all(due, args.jobs, sizes, done, args.epochs)
        except KeyboardInterrupt:
            progress.print("Stopped; the same command goes on with what is left.")


def all_jobs(args: argparse.Namespace) -> list[Job]:
    """Return all jobs, seed by seed, so that a bench that was stopped has something of every task."""
    tasks = chosen(args)
    most = max((seeds(args, task) for task in tasks), default=0)
    return [
        Job(task, contestant, seed)
        for seed in range(most)
        for task in tasks
        if seed < seeds(args, task)
        for contestant in entered(args, task)
    ]


def seeds(args: argparse.Namespace, task: Task) -> int:
    if args.quick:
        return 1
    return int(args.seeds * 4 if task.few else args.seeds)


def chosen(args: argparse.Namespace) -> list[Task]:
    """Return the tasks that the command line names."""
    if args.tasks:
        if unknown := set(args.tasks) - {task.name for task in TASKS}:
            raise SystemExit(f"no task is called {', '.join(sorted(unknown))}: {', '.join(t.name for t in TASKS)}")
        return [task for task in TASKS if task.name in args.tasks]
    part = {"all": (True, False), "held_out": (True,), "dev": (False,)}[args.part]
    tasks = [task for task in TASKS if task.held_out in part and task.family in (args.family or [task.family])]
    return tasks[::2] if args.quick else tasks


def entered(args: argparse.Namespace, task: Task) -> list[Contestant]:
    """Return the contestants that the command line names, variants included."""
    variants = [Contestant(name, tuple(words)) for name, *words in args.variant]
    if args.contestants is not None:
        return [*named(task, args.contestants), *variants]
    return [*(named(task, QUICK) if args.quick else contestants(task)), *variants]


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("decisions", description="The bench of decisions.")
    found.add_argument("--out", type=Path, help="folder of the results (runs/decisions)")
    found.add_argument("--tasks", nargs="+", help="tasks by name")
    found.add_argument("--family", nargs="+", help="families of tasks")
    part = found.add_mutually_exclusive_group()
    part.add_argument("--dev", dest="part", action="store_const", const="dev", help="what is not held out (default)")
    part.add_argument("--held-out", dest="part", action="store_const", const="held_out", help="read once, at the end")
    part.add_argument("--all", dest="part", action="store_const", const="all")
    found.set_defaults(part="dev")
    found.add_argument("--contestants", nargs="*", help="by name; 'static' is the whole sweep")
    found.add_argument(
        "--variant",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "OPTION=VALUE"),
        help="a contestant of your own: a default run with these options",
    )
    found.add_argument("--seeds", type=int, default=5, help="number of seeds; four times as many below 600 rows")
    found.add_argument("--quick", action="store_true", help="every second task, few contestants, one seed")
    found.add_argument("--jobs", type=int, default=2, help="number of processes")
    found.add_argument("--epochs", type=int, help="instead of each task's own, to try the bench itself")
    found.add_argument("--retry", action="store_true", help="run again what failed")
    found.add_argument("--show", action="store_true", help="run nothing, show what there is")
    found.add_argument("--check", action="store_true", help="load the tasks' data and do nothing else")
    found.add_argument("--markdown", type=Path, help="file for the tables")
    return found


if __name__ == "__main__":
    main()
