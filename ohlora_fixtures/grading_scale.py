"""The five-step scale on which answers are graded, whoever grades them."""

from __future__ import annotations

import re

GRADES = ("최상", "상", "중", "하", "최하")
"""The study's scale, best first."""

_FIFTH = 20.0
_BY_WORD = {
    word: grade
    for words in (GRADES, ("best", "good", "fair", "poor", "worst"), "54321")
    for word, grade in zip(words, GRADES, strict=True)
}


def grade_of(score: float) -> str:
    """The grade of a score from 0 to 100: its fifth, 최상 from 80 on and 최하 below 20."""
    fifths = min(max(int(score // _FIFTH), 0), len(GRADES) - 1)
    return GRADES[-1 - fifths]


def points_of(grade: str) -> float:
    """The middle of a grade's fifth: 90, 70, 50, 30 or 10."""
    return 100.0 - _FIFTH * (GRADES.index(grade) + 0.5)


def grade_from(text: str) -> str | None:
    """The grade that a person has written, "4.0" for a 4 included, as spreadsheets have it; None if it is none."""
    word = text.strip().casefold()
    return _BY_WORD.get(word[0] if re.fullmatch(r"[1-5][.,]0*", word) else word)
