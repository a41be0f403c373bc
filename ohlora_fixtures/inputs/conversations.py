"""What a dataset's rows say, whatever their columns are called: prompts and their answers.

The forms are those that trl ("dataset formats"), axolotl ("dataset formats") and LLaMA-Factory (`data/README.md`) read.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import InputError
from ..base.messages import message

ROLES = ("prompt", "input", "answer", "messages", "history", "system", "split")
"""What a column can be; `--columns` names them so."""

FORMS: tuple[Mapping[str, str], ...] = (
    {"prompt": "input_data", "answer": "output_data", "split": "data_type"},
    {"messages": "messages"},
    {"messages": "conversations"},
    {"prompt": "instruction", "input": "input", "answer": "output"},
    {"prompt": "prompt", "answer": "completion"},
    {"prompt": "question", "answer": "answer"},
    {"prompt": "질문", "answer": "답변"},
)
"""The columns of each form by their role, most telling first.

They are ours, OpenAI's, ShareGPT's, Alpaca's, trl's, KoAlpaca-RealQA's, and that of Korean spreadsheets.
"""
_BESIDE = {role: role for role in ("history", "system", "split")}
"""Columns that rows of any form may have."""
LIKELY = {column for form in (*FORMS, _BESIDE) for column in form.values()}
"""Every column of a form."""
_NEEDED = ("prompt", "answer", "messages")
_MOST_COLUMNS, _MOST_CHARACTERS = 8, 24
"""Of those that a dataset has, in one sentence."""

_MISSING = {"", "nan", "none", "null", "n/a", "<na>"}
"""What spreadsheets and pandas write where a cell is empty."""
_SPEAKERS = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}


class NoDialogueError(ValueError):
    """A row is no dialogue; its one argument is the `Message` that says why."""


@dataclass(frozen=True)
class Turn:
    """What one side says in a dialogue."""

    speaker: str
    """`user`, `assistant` or `system`."""
    text: str


@dataclass(frozen=True)
class Dialogue:
    """One prompt and its answer."""

    prompt: str
    """All that precedes the answer, as one text."""
    answer: str
    turns: tuple[Turn, ...] = ()
    """Likewise, by who says it; none where it is a single question."""


def parse_columns(asked: str) -> dict[str, str]:
    """Columns by role, as in `prompt=question,answer=reply`; raises InputError for another role or a missing name."""
    found = {}
    for each in filter(None, asked.split(",")):
        role, _, column = (part.strip() for part in each.partition("="))
        if role not in ROLES or not column or role in found:
            raise InputError(
                f"--columns {each!r} is not ROLE=COLUMN, each once, with one of the roles {', '.join(ROLES)}"
            )
        found[role] = column
    if found and "messages" not in found and ("prompt" in found) != ("answer" in found):
        raise InputError(f"--columns {asked!r} needs prompt and answer both, such as prompt=question,answer=reply")
    return found


def columns_of(heads: Sequence[str], asked: Mapping[str, str], where: Mapping[str, Any]) -> dict[str, str]:
    """The dataset's columns by role: those that are asked for, and what else of the first form that it has all of.

    Raises InputError, which says what columns there are, for none; for one that is asked for and not there; and for one
    that is there twice. `where` names the dataset in such an error.
    """
    if not heads:
        raise InputError(message("mistake.empty", **where))
    shown = [repr(head[:_MOST_CHARACTERS]) for head in dict.fromkeys(heads)]
    there = shown[:_MOST_COLUMNS] + ["..."] * (len(shown) > _MOST_COLUMNS)
    for role, column in asked.items():
        if column not in heads:
            raise InputError(message("mistake.not_there", **where, role=role, column=repr(column), columns=there))
    forms = [{}] if any(role in asked for role in _NEEDED) else FORMS
    form = next((form for form in forms if all(form[role] in heads for role in _NEEDED if role in form)), None)
    if form is None:
        raise InputError(message("mistake.no_dialogue", **where, columns=there))
    beside = {role: column for role, column in {**_BESIDE, **form}.items() if column in heads}
    found = {**beside, **asked}
    if repeated := [column for column in found.values() if heads.count(column) > 1]:
        raise InputError(message("mistake.columns", **where, column=repr(repeated[0])))
    return found


def pairs(turns: Sequence[Turn]) -> Iterator[Dialogue]:
    """Each of the assistant's turns, as the answer to all that precedes it."""
    for index, turn in enumerate(turns):
        if turn.speaker == "assistant":
            before = tuple(turns[:index])
            is_question = [each.speaker for each in before] == ["user"]
            yield Dialogue(_asked(before), turn.text, () if is_question else before)


def _asked(turns: Sequence[Turn]) -> str:
    """What precedes an answer as one text: a single question as it stands, several turns each after who says it."""
    told = [turn.text for turn in turns if turn.speaker == "system"]
    said = [turn for turn in turns if turn.speaker != "system"]
    if [turn.speaker for turn in said] == ["user"]:
        return "\n".join([*told, said[0].text])
    return "\n".join([*told, *(f"{turn.speaker}: {turn.text}" for turn in said)]) if said else ""


def turns_of(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[Turn]:
    """A row's dialogue, without empty turns; raises NoDialogueError for what is none."""
    cells = {role: _cell(row.get(column)) for role, column in columns.items()}
    turns = [Turn("system", _text(cells.get("system"), "system"))]
    if "messages" in columns:
        turns += _messages(cells["messages"])
    else:
        for prompt, answer in _history(cells.get("history")):
            turns += [Turn("user", _text(prompt, "history")), Turn("assistant", _text(answer, "history"))]
        turns += _said("user", columns["prompt"], cells["prompt"])
        if (more := _text(cells.get("input"), "input")) and turns[-1].speaker == "user":
            turns[-1] = Turn("user", f"{turns[-1].text}\n{more}".strip())
        turns += _said("assistant", columns["answer"], cells["answer"])
    return [turn for turn in turns if turn.text]


def in_words(columns: Mapping[str, str]) -> str:
    """The columns that hold the dialogue, such as `instruction + input -> output`."""
    if "messages" in columns:
        return columns["messages"]
    asked = " + ".join(columns[role] for role in ("prompt", "input") if role in columns)
    return f"{asked} -> {columns['answer']}"


def _cell(value: Any) -> Any:
    return "" if isinstance(value, str) and value.strip().lower() in _MISSING else value


def _said(speaker: str, column: str, value: Any) -> list[Turn]:
    """A text, or as trl's conversational form has it, a list of messages."""
    return _messages(value) if isinstance(value, list) else [Turn(speaker, _text(value, column))]


def _messages(value: Any) -> list[Turn]:
    """Messages of `role` and `content`, or of `from` and `value`; a CSV cell holds them as JSON."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise NoDialogueError(message("row.no_messages", found=_shown(value))) from None
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise NoDialogueError(message("row.no_messages", found=_shown(value)))
    return [_message(each) for each in value]


def _message(value: Any) -> Turn:
    found = value if isinstance(value, Mapping) else {}
    role, content = (
        next((found[name] for name in names if name in found), None)
        for names in (("role", "from"), ("content", "value"))
    )
    if not isinstance(role, str):
        raise NoDialogueError(message("row.no_messages", found=_shown(value)))
    if role.lower() not in _SPEAKERS:
        raise NoDialogueError(message("row.speaker", found=_shown(role), roles=tuple(_SPEAKERS)))
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    return Turn(_SPEAKERS[role.lower()], _text(content, "content"))


def _history(value: Any) -> Iterable[Sequence[Any]]:
    """Earlier prompts and answers, as LLaMA-Factory's `history` holds them."""
    pairs = value if isinstance(value, list) else []
    if wrong := [pair for pair in pairs if not isinstance(pair, list) or len(pair) != 2]:  # noqa: PLR2004 - as it says
        raise NoDialogueError(message("row.no_text", column="history", found=_shown(wrong[0])))
    return pairs


def _text(value: Any, column: str) -> str:
    """A cell as a text; raises NoDialogueError for a list or an object."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (list, Mapping, bytes)):
        raise NoDialogueError(message("row.no_text", column=column, found=_shown(value)))
    return str(value).strip()


def _shown(value: Any) -> str:
    return repr(value)[:60]
