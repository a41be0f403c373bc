"""How good a model's answers are: stated measures of what it says and of what it understands, and one score of both.

What it says is measured on the surface of its answers, and by the words that they share with what was asked; neither
tells fluent nonsense on the subject from sense. What it understands is told by how often it finds the dataset's own
answers likelier after their own prompts than after others.
Nothing here knows the candidates: what a good answer looks like is read from the dataset.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from ..inputs.conversations import Dialogue
from ..results.answers import GivenAnswer
from ..results.record import Assessment
from ..workloads.likelihood import Likelihood
from .grading import grade_of, interval

_LENGTH = 4
"""Characters of a sequence: of the dialogues' own answers 0.3 % of such come twice, at most 13 % in one answer."""
_USUAL_SHARE = 0.05
"""A beginning that so many of the dataset's answers share is not stray."""
_NEARLY_NOTHING = 0.2
_MOSTLY = 0.5
_UNSEEN = ("Cc", "Cf", "Cs")
"""Categories of Unicode that show nothing: controls, formats, lone surrogates."""
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")
"""Letters, marks and symbols that show nothing, such as Hangul's fillers (Unicode's Default_Ignorable_Code_Point)."""


@dataclass(frozen=True)
class Reference:
    """What the dataset's own answers look like."""

    script: str
    """The script of most of their letters, as Unicode names it, such as `HANGUL`."""
    beginnings: frozenset[str]
    """Digits and symbols that 5 % of them or more begin with; `0` stands for every digit."""
    echo: float
    """Share of their four-character sequences that stand in their prompts, at most a half."""


class Marks(NamedTuple):
    """One answer's measures, each from 0 (nothing to find fault with) to 1."""

    empty: float
    """1 if there is nothing to read: no letter and no digit."""
    same: float
    """Share of the other prompts, those with empty answers left out, that got the same answer."""
    repetition: float
    """Share of its four-character sequences that it has had before (Welleck et al. 2020: seq-rep-4, of characters)."""
    foreign: float
    """Share of its letters that are not of the dataset's script, broken characters included but for the one at which it
    was cut off."""
    cut_off: float
    """1 if it reached the protocol's length before the model ended it."""
    stray_beginning: float
    """1 if it begins with a digit or symbol that fewer than 5 % of the dataset's answers begin with."""
    echo: float
    """Share of its four-character sequences that stand in its prompt, beyond that of the dataset's own answers."""
    off_topic: float
    """Share of the other prompts that it is more like than its own, each taken with the dataset's answer to it; a tie
    is half a one. 0 where the dataset's answer is not known."""

    @property
    def good(self) -> float:
        """What is left of the answer, 0 to 1: a wrong beginning or end halves it, the rest takes its share."""
        shares = (self.empty, self.same, self.repetition, self.foreign, self.echo, self.off_topic)
        return math.prod(1 - share for share in shares) * (1 - self.cut_off / 2) * (1 - self.stray_beginning / 2)


def reference_of(rows: Sequence[Dialogue]) -> Reference:
    """Look at the dataset's answers, at least one."""
    answers = [_plain(row.answer) for row in rows]
    scripts = Counter(script for answer in answers for script in map(_script, answer) if script)
    beginnings = Counter(map(_beginning, answers))
    usual = frozenset(sign for sign, count in beginnings.items() if sign and count >= _USUAL_SHARE * len(answers))
    echo = sum(_echo(_plain(row.prompt), answer) for row, answer in zip(rows, answers, strict=True)) / len(answers)
    return Reference(scripts.most_common(1)[0][0] if scripts else "", usual, min(echo, _MOSTLY))


def marks_of(given: Sequence[GivenAnswer], reference: Reference) -> list[Marks]:
    """Measure each answer."""
    texts = [_plain(each.answer.rstrip("\ufffd") if each.is_cut_off else each.answer) for each in given]
    askers: dict[str, set[str]] = defaultdict(set)
    for each, text in zip(given, texts, strict=True):
        askers[text].add(each.prompt)
    answered = {prompt for text, prompts in askers.items() if not _is_empty(text) for prompt in prompts}
    subjects, marks = _Subjects(given), []
    for each, text in zip(given, texts, strict=True):
        letters = [script for script in map(_script, text) if script is not None]
        sign, is_empty = _beginning(text), _is_empty(text)
        has_others = not is_empty and len(answered) > 1
        marks.append(
            Marks(
                empty=float(is_empty),
                same=(len(askers[text]) - 1) / (len(answered) - 1) if has_others else 0.0,
                repetition=_repetition(text),
                foreign=sum(script != reference.script for script in letters) / len(letters) if letters else 0.0,
                cut_off=float(bool(each.is_cut_off)),
                stray_beginning=float(sign is not None and sign not in reference.beginnings),
                echo=max(0.0, _echo(_plain(each.prompt), text) - reference.echo) / (1 - reference.echo),
                off_topic=0.0 if is_empty else subjects.off_topic(each.prompt, text),
            )
        )
    return marks


class _Subjects:
    """What each prompt is about: pairs of letters in it and in the dataset's answers to it, rare ones weighing more."""

    def __init__(self, given: Sequence[GivenAnswer]) -> None:
        texts: dict[str, str] = {}
        for each in given:
            if each.dataset_answer:
                texts[each.prompt] = f"{texts.get(each.prompt, each.prompt)} {each.dataset_answer}"
        pairs = {prompt: _pairs(_plain(text)) for prompt, text in texts.items()}
        self._holders: dict[str, list[str]] = defaultdict(list)
        for prompt, held in pairs.items():
            for pair in held:
                self._holders[pair].append(prompt)
        self._weights = {pair: math.log(len(pairs) / len(held)) ** 2 for pair, held in self._holders.items()}
        lengths = {prompt: math.sqrt(sum(self._weights[pair] for pair in held)) for prompt, held in pairs.items()}
        self._lengths = {prompt: length or 1.0 for prompt, length in lengths.items()}

    def off_topic(self, prompt: str, answer: str) -> float:
        """Share of the other prompts that an answer is more like than its own."""
        likeness = dict.fromkeys(self._lengths, 0.0)
        if prompt not in likeness or len(likeness) == 1:
            return 0.0
        for pair in _pairs(answer):
            for holder in self._holders.get(pair, ()):
                likeness[holder] += self._weights[pair] / self._lengths[holder]
        own = likeness.pop(prompt)
        return fmean(1.0 if other > own else (other == own) / 2 for other in likeness.values())


def judge(given: Sequence[GivenAnswer], held_out: Sequence[Likelihood], reference: Reference) -> Assessment:
    """Judge a model by its answers, at least one, and by whether it matches answers and prompts it was not trained on.

    The score is the product of what it says and what it understands, so that neither makes up for the other; its
    interval is over the prompts and the held-out rows. The parts are each measure's mean, `said` (mean of what is left
    of the answers) and `matched`, which is not among them without such rows: the score is then the answers' alone.
    """
    marks = marks_of(given, reference)
    goods, shares = [each.good for each in marks], [row.matched for row in held_out if row.matched is not None]

    def score(goods: Sequence[float], shares: Sequence[float]) -> float:
        matched = matched_of(shares)
        return 100 * fmean(goods) * (1 if matched is None else matched)

    value, matched = score(goods, shares), matched_of(shares)
    parts = {name: fmean(getattr(each, name) for each in marks) for name in Marks._fields}
    parts |= {"said": fmean(goods), **({} if matched is None else {"matched": matched})}
    return Assessment(
        score=value,
        each=tuple(100 * good for good in goods),
        interval=interval(score, goods, shares),
        grade=grade_of(value),
        parts=parts,
    )


def matched_of(shares: Sequence[float]) -> float | None:
    """How far beyond chance answers are likelier after their own prompts, 0 to 1; None without any share.

    Somers' D of two outcomes, 2 AUC - 1: 0 for a model to which every prompt is the same. It asks which likelihood is
    the larger, not by how much, so that an answer's length and its own likelihood do not count.
    """
    return max(0.0, 2 * fmean(shares) - 1) if shares else None


def nats_per_character(rows: Sequence[Likelihood]) -> float | None:
    """Of all rows together; None without any."""
    return sum(row.nats for row in rows) / sum(row.characters for row in rows) if rows else None


def is_overfitted(
    trained: tuple[float | None, float | None], held_out: tuple[float | None, float | None]
) -> bool | None:
    """Whether fine-tuning has taught rows by heart, from nats a character (before, after) of trained and held-out rows.

    It has if the trained rows became likelier and the others less so; or if less than a fifth is left of the trained
    rows' nats and more than half of the others'. None where one of the four is not known.
    """
    (before, after), (others_before, others_after) = trained, held_out
    if before is None or after is None or others_before is None or others_after is None:
        return None
    by_heart = after < _NEARLY_NOTHING * before and others_after > _MOSTLY * others_before
    return after < before and (others_after > others_before or by_heart)


def _plain(answer: str) -> str:
    """An answer as a reader sees it: composed characters, single spaces, nothing invisible."""
    text = _BLANK.sub("", unicodedata.normalize("NFC", answer))
    seen = "".join(sign for sign in text if sign.isspace() or unicodedata.category(sign) not in _UNSEEN)
    return " ".join(seen.split())


def _is_empty(text: str) -> bool:
    return not any(map(str.isalnum, text))


def _repetition(text: str) -> float:
    sequences = _sequences(text)
    return 1 - len(set(sequences)) / len(sequences) if sequences else 0.0


def _echo(prompt: str, answer: str) -> float:
    """Share of an answer's sequences that stand in the prompt; one too short for any echoes an equal prompt alone."""
    sequences = _sequences(answer)
    return sum(each in prompt for each in sequences) / len(sequences) if sequences else float(answer == prompt != "")


def _sequences(text: str) -> list[str]:
    return [text[at : at + _LENGTH] for at in range(len(text) - _LENGTH + 1)]


def _pairs(text: str) -> dict[str, None]:
    """Neighbouring letters of its words, a word's ends among them, once each and in order."""
    words = (f" {word} " for word in re.findall(r"\w+", text.casefold()))
    return dict.fromkeys(word[at : at + 2] for word in words for at in range(len(word) - 1))


def _script(sign: str) -> str | None:
    """The script of a letter, which begins its name in Unicode; None for what is no letter.

    What was decoded to no character counts as a letter, of no script.
    """
    if sign == "\ufffd":
        return ""
    return unicodedata.name(sign, "UNNAMED").split()[0] if sign.isalpha() else None


def _beginning(answer: str) -> str | None:
    """The digit or symbol that an answer begins with, `0` for every digit; None if it begins with a letter."""
    first = answer[:1]
    if not first or first.isalpha():
        return None
    return "0" if first.isdigit() else first
