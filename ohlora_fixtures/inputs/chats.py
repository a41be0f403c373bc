"""Dialogues as a model's own chat template has them, rendered in a process of its own: `render_chats.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..base import safe_text
from ..base.errors import CandidateError
from ..base.messages import message
from .conversations import Dialogue, Turn

_RENDERER = Path(__file__).with_name("render_chats.py")
_MOST_SECONDS = 60.0
"""For all of a dataset: thousands of dialogues take one."""
_MOST_TEMPLATE = 200_000
"""Characters; the longest of known models' have 20,000."""
_ERROR = 160
"""Characters of what a template's process says."""

Chat = tuple[tuple[tuple[Turn, ...], ...], bool]
"""The forms that a dialogue can be told in, best first, and whether it is left open for an answer."""


def asked(row: Dialogue) -> Chat:
    """What a row's answer answers: turn by turn; the system text in the user's first turn; all in one turn.

    Some templates have no system turn, and some want user and assistant to take turns.
    """
    whole = (Turn("user", row.prompt),)
    told = [turn.text for turn in row.turns if turn.speaker == "system"]
    said = [turn for turn in row.turns if turn.speaker != "system"]
    if not said:
        return (whole,), True
    folded = (Turn(said[0].speaker, "\n".join([*told, said[0].text])), *said[1:])
    return tuple(dict.fromkeys([row.turns, folded, whole])), True


def render(template: str, tokens: Mapping[str, str], chats: Sequence[Chat]) -> tuple[str, ...]:
    """Each chat's text by a chat template, which is given the special tokens as `bos_token` and so on.

    Raises CandidateError, in one sentence, for a template that fails, takes too long or makes too much of a dialogue.
    """
    found = _rendered(template, tuple(sorted(tokens.items())), tuple(chats))
    if isinstance(found, str):
        raise CandidateError(message("reason.chat_template", error=safe_text.line(found)[:_ERROR]))
    return found


@lru_cache(maxsize=32)
def _rendered(template: str, tokens: tuple[tuple[str, str], ...], chats: tuple[Chat, ...]) -> tuple[str, ...] | str:
    """The texts, or what is wrong: what has failed once is not waited for again."""
    if len(template) > _MOST_TEMPLATE:
        return f"it has {len(template):,} characters"
    job = {"template": template, "tokens": dict(tokens), "chats": [_plain(chat) for chat in chats]}
    try:
        done = subprocess.run(  # noqa: S603 - a file of this package
            [sys.executable, "-P", str(_RENDERER)],
            input=json.dumps(job),
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=_MOST_SECONDS,
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"it takes more than {_MOST_SECONDS:.0f} s"
    except ValueError:
        return f"its process ended with status {done.returncode}"
    return found["error"] if "error" in found else tuple(found["texts"])


def _plain(chat: Chat) -> Any:
    forms, is_open = chat
    return [[[{"role": turn.speaker, "content": turn.text} for turn in form] for form in forms], is_open]
