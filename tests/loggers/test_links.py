"""What a logger writes goes where the user means, whatever a stranger's folder or config holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from kasmina_loggers.journal import opened
from kasmina_loggers.rich import Rich
from kasmina_loggers.rich.svg import check_picture


def test_records_do_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError):
        opened(tmp_path / "metrics.jsonl")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_picture_replaces_pictures_alone(tmp_path: Path) -> None:
    for name, content in {"a.svg": "<svg/>", "b.svg": "<?xml version='1.0'?><svg/>"}.items():
        (tmp_path / name).write_text(content)
        check_picture(tmp_path / name)
    check_picture(tmp_path / "none.svg")
    (tmp_path / "words.svg").write_text("words")
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "link.svg").symlink_to(tmp_path / "nowhere")
    for name in ("words.svg", "folder.svg", "link.svg"):
        with pytest.raises(FileExistsError, match="left as it is"):
            check_picture(tmp_path / name)


@pytest.mark.parametrize("name", [".bashrc", "picture", "picture.svg\n", "a.svg/b"])
def test_a_picture_is_called_svg(name: str) -> None:
    with pytest.raises(ValueError):
        Rich(picture=name)
