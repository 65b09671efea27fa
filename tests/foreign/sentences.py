"""A small question about sentences: who acts, the person or the animal? The words of validation are none of train's."""

from __future__ import annotations

from itertools import product
from random import Random

from attrs import frozen

TENSES = {"active": "The {agent} {verb} the {other}{when}.", "passive": "The {other} was {verb} by the {agent}{when}."}
WHENS = ("", " yesterday", " at noon", " in the garden", " before the rain came", " without a sound")


@frozen
class Words:
    people: tuple[str, ...]
    animals: tuple[str, ...]
    verbs: tuple[str, ...]
    """Of which the simple past and the past participle are the same."""


TRAIN = Words(
    people=("nurse", "farmer", "teacher", "sailor", "baker", "girl", "judge", "painter", "soldier", "doctor"),
    animals=("dog", "horse", "goose", "bear", "monkey", "cat", "goat", "wolf", "parrot", "rabbit"),
    verbs=("followed", "watched", "found", "pushed", "woke up", "chased", "led", "heard", "scared", "left"),
)
CONTROL = Words(
    people=("lawyer", "pilot", "boy", "tailor", "singer", "grandmother"),
    animals=("cow", "fox", "tiger", "pig", "swan", "donkey"),
    verbs=("attacked", "caught", "licked", "stopped", "helped", "carried"),
)


def sentences(words: Words, number: int, seed: int) -> tuple[list[str], list[int]]:
    """That many of all sentences of these words, drawn at random, and whether the person acts in each."""
    every = list(product(words.people, words.animals, words.verbs, TENSES.values(), WHENS, (0, 1)))
    drawn = Random(seed).sample(every, number)
    texts = [
        form.format(agent=person if acts else animal, other=animal if acts else person, verb=verb, when=when)
        for person, animal, verb, form, when, acts in drawn
    ]
    return texts, [acts for *_, acts in drawn]
