"""The real pages, in a real browser: what TensorBoard and MLflow show of a run. Their pictures are kept in `pages`."""

from __future__ import annotations

import re
from collections.abc import Callable

from looking import LINES, Site, awaited, lacking, scrolled
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from kasmina_loggers.commands.ui import RUNS

Shows = Callable[..., str]


def test_tensorboard_scalars(site: Site, shows: Shows, browser: webdriver.Chrome) -> None:
    groups = ("train", "validation", "learning_rate", "seed", "flops")  # the first three of all are open
    shows(f"{site.tensorboard}/#scalars", *groups, click=["validation"], more=["validation/accuracy"])
    lines = 3 * 2 * 2  # charts, runs, and each smoothed and as it is
    awaited(browser, lambda: browser.execute_script(LINES) >= lines, "not all lines are drawn")


def test_tensorboard_seeds_stand_together(site: Site, shows: Shows) -> None:
    shows(f"{site.tensorboard}/#custom_scalars", "seeds", "alpha", "contribution", "seed/1/alpha")


def test_tensorboard_histograms(site: Site, shows: Shows) -> None:
    shows(f"{site.tensorboard}/#histograms", "gradients/host/layers.0.weight", "gradients/seed/1/0.weight", "weights")


def test_tensorboard_graphs(site: Site, shows: Shows) -> None:
    """After a germination there is a seed beside the host's layers, whichever run the page begins with."""
    germinations = [f"epoch {site.born(run)[-1]}" for run in ("digits", "spirals")]
    shows(f"{site.tensorboard}/#graphs", "layers", "output", click=germinations, more=["seed_1"])


def test_tensorboard_projector(site: Site, shows: Shows) -> None:
    """Samples at the site of a seed: digits each as its own small picture."""
    text = shows(f"{site.tensorboard}/#projector", "Points", "tensors found", "Total variance described: ")
    assert "NaN" not in text and re.search(r"Points:?\s+(270|300)\s", text)


def test_tensorboard_images(site: Site, shows: Shows) -> None:
    shows(f"{site.tensorboard}/#images", "boundary", "confusion", "step")


def test_tensorboard_options(site: Site, shows: Shows) -> None:
    shows(f"{site.tensorboard}/#hparams", "TABLE VIEW", "blueprint.name", "bottleneck")


def test_mlflow_run(site: Site, shows: Shows) -> None:
    shows(site.page, "spirals", "Parameters", "host.hidden", "test/accuracy", site.test[:8], "Model metrics")


def test_mlflow_metrics(site: Site, shows: Shows, browser: webdriver.Chrome) -> None:
    shows(f"{site.page}/model-metrics", "validation", "spirals (seed/1/alpha)")

    def drawn() -> bool:  # charts are drawn as they come into sight
        return scrolled(browser, "validation") and not lacking(browser, ["spirals (validation/accuracy)"])

    awaited(browser, drawn, "the metric on validation is not drawn")


def test_mlflow_artifacts(site: Site, shows: Shows) -> None:
    shows(f"{site.page}/artifacts", "config.yaml", "events.jsonl", "summary.json", "figures")


def test_mlflow_models(site: Site, shows: Shows, browser: webdriver.Chrome) -> None:
    """Behind a dialog that tells of the registry, once."""
    shows(f"{site.mlflow}/#/models", "Registered Models", "spirals", "champion", "Version 1", "Try it now")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    button = By.XPATH, "//*[text()='Try it now']"
    awaited(browser, lambda: not any(one.is_displayed() for one in browser.find_elements(*button)), "the dialog stays")


def test_mlflow_champion(site: Site, shows: Shows) -> None:
    shows(f"{site.mlflow}/#/models/spirals", "Version 1", "champion", "kasmina.test", site.test)


def test_mlflow_begins_at_the_runs(site: Site, shows: Shows) -> None:
    """Where `kasmina ui` leads: MLflow's own first page is for other things."""
    shows(f"{site.mlflow}{RUNS}", "Experiments", "kasmina")
