"""Renders chats with a model repository's chat template, which nobody has looked at, in a process that can be ended.

`chats.py` runs it: a job is read as JSON from standard input, and the texts are written as JSON to standard output.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

MOST_BYTES = 4 * 2**30
"""Of this process's address space, where the system limits it."""
MOST_ADDED, MOST_TIMES = 100_000, 10
"""Characters that a template puts around a dialogue, at most, and how many times its own length it makes of it."""


class NotRenderedError(Exception):
    """A dialogue that the template has no form for."""


def rendered(job: dict[str, Any]) -> list[str]:
    """Each chat's text: of its forms the first that the template takes and leaves nothing out of."""
    from transformers.utils import chat_template_utils

    render: Any = chat_template_utils.render_jinja_template

    def text_of(form: list[dict[str, str]], is_open: bool) -> str:  # noqa: FBT001 - as the job has it
        ((text,), _) = render(
            conversations=[form],
            chat_template=job["template"],
            add_generation_prompt=is_open,
            enable_thinking=False,
            **job["tokens"],
        )
        said = [turn["content"] for turn in form]
        if len(text) > MOST_TIMES * sum(map(len, said)) + MOST_ADDED:
            raise NotRenderedError(f"it makes {len(text):,} characters of a dialogue")
        if not all(each.strip() in text for each in said):
            raise NotRenderedError("it leaves out what was said")
        return str(text)

    return [_first(text_of, forms, is_open) for forms, is_open in job["chats"]]


def _first(text_of: Callable[..., str], forms: list[Any], is_open: bool) -> str:  # noqa: FBT001 - as the job has it
    for form in forms[:-1]:
        with suppress(Exception):  # such as a template's own "System role not supported"
            return text_of(form, is_open)
    return text_of(forms[-1], is_open)


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _limit_memory()
    answer: dict[str, Any]
    try:
        answer = {"texts": rendered(json.load(sys.stdin))}
    except Exception as error:  # noqa: BLE001 - whatever a template can bring about
        answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    json.dump(answer, sys.stdout)
