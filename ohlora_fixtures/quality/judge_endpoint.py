"""Asking an OpenAI-compatible endpoint: tried again where that helps, and its replies are untrusted."""

import json
import random
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message as Headers
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import URLError

from ..base.messages import Message, message
from ..base.safe_text import line
from ..inputs.judge_settings import OWN_KEY, JudgeSettings

TRIES = 4
MOST_REPLY_BYTES = 2**18
"""A grade and its reason need a thousandth of it; the rest is for models that think aloud."""

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
_MOST_SHOWN = 200
_OF_THIS_ANSWER = (400, 413, 422)
"""What is wrong with one request, such as a text that a provider's filter refuses."""
_HINTS = {401: "reply.key", 403: "reply.key", 404: "reply.model", 405: "reply.judge"}
"""By status, the sentence that says what to do about it."""

Sleep = Callable[[float], None]


class RefusedError(Exception):
    """This request is refused, another may be taken; it says what the judge does instead of answering."""

    def __init__(self, said: Message) -> None:
        super().__init__(said)
        self.said = said


class UnusableEndpointError(RefusedError):
    """No further request will fare better."""


@dataclass(frozen=True)
class Reply:
    """What the judge has said, whatever it is worth."""

    content: str | None
    """The message; None where the reply has none."""
    tokens: int
    """What the request and the reply have cost."""


def estimated_tokens(text: str) -> int:
    """Tokens of a text whose tokenizer is unknown: one for three bytes, more than Korean or English take.

    The study's tokenizers take 1.4 to 1.6 characters of Korean, of up to 3 bytes each, and English takes some 4.
    """
    return len(text.encode("utf-8", "replace")) // 3 + 1


def ask(settings: JudgeSettings, text: str, *, sleep: Sleep, timeout_seconds: float) -> Reply:
    """Send one message and return the reply.

    Tried again, four times in all, after a time-out, a broken connection and the statuses 429 and 5xx: after as long as
    `Retry-After` says, else after a random part of 1, 2 and 4 s (Brooker, Exponential Backoff And Jitter, 2015, "full
    jitter"); a minute at most. Redirects are not followed, so the key goes to the given host alone.

    Raises:
        UnusableEndpointError: The tries are spent, or the endpoint is not one.
        RefusedError: It will not take this message.
    """
    for attempt in range(TRIES):
        wait_seconds = random.uniform(0, _FIRST_WAIT_SECONDS * 2**attempt)  # noqa: S311 - nothing secret
        try:
            response, body = _post(settings, text, timeout_seconds)
        except (OSError, HTTPException, UnicodeError) as error:  # the last is of a name that DNS cannot have
            problem = message("obstacle.unreachable", problem=_shown(_reason(error), settings))
        else:
            if 200 <= response.status < 300:  # noqa: PLR2004 - success, as HTTP has it
                return _reply(body, text)
            problem = _problem(response, body, settings)
            if response.status in _OF_THIS_ANSWER:
                raise RefusedError(problem)
            if response.status != 429 and response.status < 500:  # noqa: PLR2004 - too many requests, the server's fault
                raise UnusableEndpointError(problem)
            wait_seconds = _asked_wait(response.headers, wait_seconds)
        if attempt < TRIES - 1:
            sleep(wait_seconds)
    raise UnusableEndpointError(problem)


def _post(settings: JudgeSettings, text: str, timeout_seconds: float) -> tuple[HTTPResponse, bytes]:
    """One request; whatever the status, its response and body, which is empty if it was too long."""
    messages = [{"role": "user", "content": text}]  # chat templates such as Gemma's have no other role
    body = json.dumps({"model": settings.model, "messages": messages, "temperature": 0}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "ohlora-fixtures"}
    if settings.key:
        headers["Authorization"] = f"Bearer {settings.key}"
    request = urllib.request.Request(settings.url, body, headers, method="POST")  # noqa: S310 - http(s), as checked
    opener = urllib.request.OpenerDirector()  # without the handlers that follow redirects
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPSHandler())
    if not settings.is_here:  # what stays here needs no proxy, which would see the key
        opener.add_handler(urllib.request.ProxyHandler())
    deadline = time.monotonic() + timeout_seconds
    with opener.open(request, timeout=timeout_seconds) as response:
        return response, _bounded(response, deadline)


def _bounded(response: HTTPResponse, deadline: float) -> bytes:
    """A body, nothing of one that is too long; TimeoutError for one that trickles in."""
    data = b""
    while chunk := response.read1(2**16):
        data += chunk
        if len(data) > MOST_REPLY_BYTES:
            return b""
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    return data


def _reply(body: bytes, text: str) -> Reply:
    facts = _parsed(body)
    content = _at(facts, "choices", 0, "message", "content")
    if not isinstance(content, str):
        content = None
    tokens = _at(facts, "usage", "total_tokens")
    is_count = type(tokens) is int and tokens > 0
    return Reply(content, tokens if is_count else estimated_tokens(text) + estimated_tokens(content or ""))


def _problem(response: HTTPResponse, body: bytes, settings: JudgeSettings) -> Message:
    """What a status that is no success tells."""
    facts = _parsed(body)
    told = [_at(facts, "error", "message"), _at(facts, "error"), _at(facts, "message"), response.reason]
    reply: str | Message = _shown(next((each for each in told if isinstance(each, str) and each), ""), settings)
    if 300 <= response.status < 400:  # noqa: PLR2004 - redirection, as HTTP has it
        reply = message("reply.moved", location=_shown(response.headers.get("Location", "nowhere"), settings))
    elif response.status in _HINTS:
        reply = message(_HINTS[response.status], said=reply, name=OWN_KEY)
    return message("obstacle.status", count=response.status, reply=reply)


def _asked_wait(headers: Headers, otherwise_seconds: float) -> float:
    """How long to wait, as the server asks in seconds (RFC 9110, 10.2.3); its dates depend on two clocks."""
    asked = headers.get("Retry-After", "").strip()
    return min(float(asked), _LONGEST_WAIT_SECONDS) if asked.isascii() and asked.isdigit() else otherwise_seconds


def _reason(error: BaseException) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def _shown(text: str, settings: JudgeSettings) -> str:
    return without_key(line(text), settings)[:_MOST_SHOWN]


def without_key(text: str, settings: JudgeSettings) -> str:
    """A server's text as it may be shown and stored, should it say the key back."""
    return text.replace(settings.key, "***") if settings.key else text


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _at(facts: Any, *path: str | int) -> Any:
    """What stands at a path in a JSON value; None if nothing does."""
    try:
        for step in path:
            facts = facts[step]
    except (LookupError, TypeError):
        return None
    return facts
