"""The answers, prompt by prompt: every candidate's, untuned and at each rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...results.answers import ByRank, GivenAnswer

Prompt = tuple[str, int]
"""A prompt, and how many equal ones stand before it."""


@dataclass(frozen=True)
class Answers:
    """What one candidate has answered to one prompt."""

    candidate: str
    """Its name."""
    by_rank: Mapping[int | None, GivenAnswer]
    """Untuned under None, first; then by LoRA rank."""


def by_prompt(answers: Mapping[str, ByRank], order: Sequence[str]) -> list[tuple[str, list[Answers]]]:
    """The prompts as they were asked, each with its answers; candidates in the given order, others behind."""
    prompts: dict[Prompt, dict[str, dict[int | None, GivenAnswer]]] = {}
    for name in [*(name for name in order if name in answers), *(name for name in answers if name not in order)]:
        for rank in sorted(answers[name], key=lambda rank: (rank is not None, rank)):
            asked: dict[str, int] = {}
            for given in answers[name][rank]:
                place = asked[given.prompt] = asked.get(given.prompt, -1) + 1
                prompts.setdefault((given.prompt, place), {}).setdefault(name, {})[rank] = given
    return [
        (prompt, [Answers(name, by_rank) for name, by_rank in found.items()]) for (prompt, _), found in prompts.items()
    ]
