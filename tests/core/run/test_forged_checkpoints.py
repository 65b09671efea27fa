"""What stands beside the state in a checkpoint: a forger can make a digest that fits, and still gets a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from kasmina.run.checkpoints import format
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.format import Damaged, read_checkpoint, write_checkpoint
from kasmina.run.checkpoints.packing import pack

HONEST: dict[str, Any] = {
    "data": "x",
    "code": {},
    "config": "y",
    "epoch": 1,
    "step": 9,
    "seconds": 0.5,
    "good": None,
    "metric": 0.5,
    "loss": None,
    "settled": True,
    "best": None,
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "000001.json"
    write_checkpoint(path, pack({"w": torch.ones(3), "n": 2}), Facts(**HONEST))
    found = read_checkpoint(path)
    assert attrs.asdict(found.facts) == HONEST
    assert found.state["n"] == 2 and torch.equal(found.state["w"], torch.ones(3))


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("wrong", ["gone", [], {}, True, "text"])
def test_a_fact_that_is_gone_or_none_of_its_kind_is_damage(tmp_path: Path, name: str, wrong: Any) -> None:
    path = tmp_path / "000001.json"
    facts = HONEST | {name: wrong}
    if wrong == "gone":
        del facts[name]
    if (name, wrong) in (("data", "text"), ("config", "text"), ("code", {}), ("settled", True)):  # which are right
        facts[name] = 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format, "asdict", lambda honest: facts)
        write_checkpoint(path, pack({"w": torch.ones(3)}), Facts(**HONEST))
    with pytest.raises(Damaged, match=name):
        read_checkpoint(path)


def test_the_facts_are_those_that_a_run_writes() -> None:
    assert set(HONEST) == {field.name for field in attrs.fields(Facts)}
    assert json.loads(json.dumps(HONEST)) == HONEST


@pytest.mark.parametrize("state", [[], 3, "text", None])
def test_a_state_that_is_no_mapping_is_damage(tmp_path: Path, state: Any) -> None:
    path = tmp_path / "000001.json"
    write_checkpoint(path, pack(state), Facts(**HONEST))
    with pytest.raises(Damaged, match="no mapping"):
        read_checkpoint(path)
