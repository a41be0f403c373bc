"""A language model as judge: each answer graded once, within a cost cap, and the verdict kept on disk."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from ..base.files import MOST_TEXT_BYTES, open_to_append, read_bytes, write_all
from ..base.installation import JUDGE_PROMPT
from ..base.messages import Message, message
from ..base.safe_text import cell, json_line
from ..inputs.cases import Case
from ..inputs.judge_settings import JudgeSettings
from ..results.answers import Answers, GivenAnswer
from .grading import GRADES, JUDGE, Judged, points_of
from .judge_endpoint import RefusedError, Reply, Sleep, UnusableEndpointError, ask, estimated_tokens, without_key

CACHE = "judged.jsonl"

_TRIES = 2
_MOST_USELESS_IN_A_ROW = 5
_MOST_REPLY_CHARACTERS = 10_000
_MOST_REASON_CHARACTERS = 300
_MOST_SHOWN = 60
_HASH_DIGITS = 12
_VERDICT_BEGINS = re.compile(r'\{\s*"(?:grade|reason)"\s*:')


def judge_answers(
    settings: JudgeSettings,
    folder: Path,
    answers: Answers,
    *,
    sleep: Sleep = time.sleep,
    timeout_seconds: float = 60.0,
) -> Judged:
    """Have answers graded, each but once: verdicts are kept in the results folder's `judged.jsonl`.

    Goes from prompt to prompt, so that where it ends early, every candidate has been judged on the same prompts.
    The time-out is for each try, and `sleep` waits before the next. Whatever the judge does nothing is raised: the
    notes say what it did.
    """
    reply_to = partial(ask, settings, sleep=sleep, timeout_seconds=timeout_seconds)
    asking = _Asking(settings, JudgeCache(folder / CACHE), reply_to)
    points: dict[Case, list[float | None]] = {case: [None] * len(given) for case, given in answers.items()}
    places = [(case, place) for case, own in points.items() for place in range(len(own))]
    for case, place in sorted(places, key=lambda each: each[1]):
        if grade := asking.grade(answers[case][place]):
            points[case][place] = points_of(grade)
    judged = sum(each is not None for own in points.values() for each in own)
    notes = asking.notes(judged, len(places)) if places else ()
    return Judged(JUDGE, {case: tuple(own) for case, own in points.items()}, notes=notes)


@dataclass(frozen=True)
class KeptVerdict:
    """What a judge says of one answer; a line of the file."""

    key: str
    """SHA-256 of the model, what it was told, the prompt and the answer, hexadecimal."""
    grade: str
    """One of 최상, 상, 중, 하, 최하."""
    reason: str
    tokens: int
    """What asking has cost."""
    model: str


class JudgeCache:
    """Verdicts by key, from a file that is only ever appended to; lines that are none are passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem: str | None = None
        """Why a verdict is not on disk, in the system's words; None if all are."""
        try:
            data = read_bytes(path, MOST_TEXT_BYTES)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            data, self.problem = b"", error.strerror
        self._ends_within_a_line = not data.endswith(b"\n") and bool(data)
        self.verdicts = {each.key: each for each in map(_kept, data.splitlines()) if each}

    def add(self, verdict: KeptVerdict) -> None:
        """Keep a verdict; it has reached the disk, or `problem` says why not."""
        self.verdicts[verdict.key] = verdict
        data = b"\n" * self._ends_within_a_line + json_line(asdict(verdict))
        self._ends_within_a_line = True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open_to_append(self._path) as file:
                write_all(file, data)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
        else:
            self._ends_within_a_line = False


def _kept(data: bytes) -> KeptVerdict | None:
    try:
        facts = json.loads(data)
        verdict = KeptVerdict(**{field.name: facts[field.name] for field in fields(KeptVerdict)})
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return verdict if isinstance(verdict.key, str) and verdict.grade in GRADES else None


class _Asking:
    """What one run of a judge has come to."""

    def __init__(self, settings: JudgeSettings, cache: JudgeCache, reply_to: Callable[[str], Reply]) -> None:
        self._settings, self._cache, self._reply_to = settings, cache, reply_to
        self._told = JUDGE_PROMPT.read_text(encoding="utf-8")
        self._told_sha256 = hashlib.sha256(self._told.encode()).hexdigest()
        self._tokens = 0
        """Spent so far."""
        self._useless = 0
        """Answers that got no grade although the judge replied."""
        self._useless_in_a_row = 0
        self._has_ended: Message | None = None
        """Why nothing more is asked: what the judge does, in a phrase."""

    def grade(self, given: GivenAnswer) -> str | None:
        """An answer's grade, asked for unless it is known or the judging has ended."""
        texts = [self._settings.model, self._told_sha256, cell(given.prompt), cell(given.answer)]  # as files have them
        key = hashlib.sha256(json_line(texts)).hexdigest()
        if key not in self._cache.verdicts and self._has_ended is None:
            self._ask(key, given)
        verdict = self._cache.verdicts.get(key)
        return verdict.grade if verdict else None

    def notes(self, judged: int, total: int) -> tuple[Message, ...]:
        """What to know of the judging."""
        url, count = self._settings.url, {"count1": judged, "count2": total}
        told = f"{JUDGE_PROMPT.name} ({self._told_sha256[:_HASH_DIGITS]})"
        asked = {"model": self._settings.model, "url": url, "prompt": told, "count3": self._tokens}
        notes = [message("agreement.judged", **count, **asked)]
        if self._has_ended:
            notes.append(message("agreement.ended", url=url, obstacle=self._has_ended, **count))
        if self._useless:
            notes.append(message("agreement.useless", url=url, count1=self._useless, count2=total))
        if self._cache.problem:
            notes.append(message("agreement.not_kept", file=CACHE, problem=self._cache.problem))
        return tuple(notes)

    def _ask(self, key: str, given: GivenAnswer) -> None:
        # as a JSON string an answer cannot end the material and begin instructions
        material = json_line({"prompt": given.prompt, "answer": given.answer}).decode()
        text = f"{self._told}\n{material}"
        problem: Message | None = None
        tokens_before = self._tokens
        for _ in range(_TRIES):
            if self._tokens + estimated_tokens(text) > self._settings.most_tokens:
                self._has_ended = message("obstacle.cap", count=self._settings.most_tokens)
                return
            try:
                reply = self._reply_to(text)
            except KeyboardInterrupt:  # of somebody who waits for the table
                self._has_ended = message("obstacle.interrupted")
                return
            except UnusableEndpointError as error:
                self._has_ended = error.said
                return
            except RefusedError as error:
                problem = error.said
                break
            self._tokens += reply.tokens
            if found := read_verdict(reply.content or ""):
                self._useless_in_a_row = 0
                grade, reason = found
                reason = without_key(reason, self._settings)[:_MOST_REASON_CHARACTERS]
                cost = self._tokens - tokens_before
                self._cache.add(KeptVerdict(key, grade, reason, cost, self._settings.model))
                return
            said = without_key(reply.content or "", self._settings)[:_MOST_SHOWN]
            problem = message("obstacle.says", said=repr(said)) if said else message("obstacle.no_completion")
        self._useless += 1
        self._useless_in_a_row += 1
        if self._useless_in_a_row == _MOST_USELESS_IN_A_ROW:
            self._has_ended = message("obstacle.no_grade", count=_MOST_USELESS_IN_A_ROW, obstacle=problem)


def read_verdict(reply: str) -> tuple[str, str] | None:
    """The grade and the reason in a judge's reply; None where there is no grade of the scale, or more than one.

    The JSON object may stand in a code fence or among other text; what a model thinks aloud before it does not count.
    """
    text = reply.rpartition("</think>")[2]
    if len(text) > _MOST_REPLY_CHARACTERS:
        return None
    found: dict[str, str] = {}
    place = 0
    while start := _VERDICT_BEGINS.search(text, place):
        try:
            facts, place = json.JSONDecoder().raw_decode(text, start.start())
        except ValueError:
            place = start.end()
            continue
        except RecursionError:
            return None
        grade = _text(facts.get("grade")).strip()
        if grade not in GRADES:
            return None
        found[grade] = _text(facts.get("reason"))
    return next(iter(found.items())) if len(found) == 1 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
