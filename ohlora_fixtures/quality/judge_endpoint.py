"""Asking an OpenAI-compatible endpoint: tried again where that helps, and its replies are untrusted."""

import json
import random
import re
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message as Headers
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from queue import Empty, SimpleQueue
from threading import Thread
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
Exchange = tuple[HTTPResponse, bytes]
"""A reply, whatever its status, and its body, which is empty if it was too long."""


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

    The time-out is for the whole of a try: name, connection, request and reply, however a server drags it out. Tried
    again, four times in all, after a time-out, a broken connection and the statuses 429 and 5xx: after as long as
    `Retry-After` says, else after a random part of 1, 2 and 4 s (Brooker, Exponential Backoff And Jitter, 2015, "full
    jitter"); a minute at most. Redirects are not followed, so the key goes to the given host alone.

    Raises:
        UnusableEndpointError: The tries are spent, or the endpoint is not one.
        RefusedError: It will not take this message.
    """
    for attempt in range(TRIES):
        wait_seconds = random.uniform(0, _FIRST_WAIT_SECONDS * 2**attempt)  # noqa: S311 - nothing secret
        try:
            response, body = _within(timeout_seconds, partial(_post, settings, text, timeout_seconds))
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


def _within(seconds: float, work: Callable[[], Exchange]) -> Exchange:
    """What `work` returns or raises; TimeoutError once its time is up: it is then left to end by itself."""
    done: SimpleQueue[Exchange | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            done.put(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.put(error)

    Thread(target=run, daemon=True).start()
    try:
        found = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError("timed out") from None
    if isinstance(found, BaseException):
        raise found
    return found


def _post(settings: JudgeSettings, text: str, timeout_seconds: float) -> Exchange:
    """One request and its reply."""
    messages = [{"role": "user", "content": text}]  # chat templates such as Gemma's have no other role
    body = json.dumps({"model": settings.model, "messages": messages, "temperature": 0}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "ohlora-fixtures"}
    if settings.key:
        headers["Authorization"] = f"Bearer {settings.key}"
    request = urllib.request.Request(settings.url, body, headers, method="POST")  # noqa: S310 - http(s), as checked
    opener = urllib.request.OpenerDirector()  # without the handlers that follow redirects
    bounded = partial(_BoundedResponse, time.monotonic() + timeout_seconds)
    opener.add_handler(_BoundedHandler(bounded))
    if not settings.is_here:  # what stays here needs no proxy, which would see the key
        opener.add_handler(urllib.request.ProxyHandler())
    with opener.open(request, timeout=timeout_seconds) as response:
        body = response.read(MOST_REPLY_BYTES + 1)
        return response, body if len(body) <= MOST_REPLY_BYTES else b""


class _BoundedHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Asks over HTTP and HTTPS; all that comes back, a proxy's word and every header too, is read by `response`."""

    def __init__(self, response: Callable[..., HTTPResponse]) -> None:
        super().__init__()
        self._response = response

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(self._connected, HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(self._connected, HTTPSConnection), req)

    def _connected(self, kind: type[HTTPConnection], host: str, **how: Any) -> HTTPConnection:
        connection = kind(host, **how)
        connection.response_class = self._response  # type: ignore[assignment]  # makes one
        return connection


class _BoundedResponse(HTTPResponse):
    """A reply that ends at a deadline, whatever it consists of: interim responses, headers, chunks or trailers."""

    def __init__(self, deadline: float, sock: Any, **how: Any) -> None:
        super().__init__(sock, **how)
        self.fp = BufferedReader(_BoundedReader(self.fp, deadline))


class _BoundedReader(RawIOBase):
    """Reads from a buffered file of a socket, which waits no longer than the socket's time-out, until a deadline."""

    def __init__(self, file: BufferedReader, deadline: float) -> None:
        super().__init__()
        self._file, self._deadline = file, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if time.monotonic() > self._deadline:
            raise TimeoutError("timed out")
        return self._file.readinto1(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


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
    """A server's text as it may be shown and stored, should it say the key back.

    Between the key's characters may stand what is not seen, or is taken away later, such as U+202E.
    """
    return re.sub(r"[^!-~]*".join(map(re.escape, settings.key)), "***", text) if settings.key else text


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
