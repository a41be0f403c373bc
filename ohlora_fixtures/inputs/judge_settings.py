"""Which judge is asked, and what it may cost: checked before anything is measured."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from ..base.errors import InputError

OWN_KEY, COMMON_KEY = "OHLORA_JUDGE_API_KEY", "OPENAI_API_KEY"
DEFAULT_MOST_TOKENS = 1_000_000
"""The 700 answers of the study's seven, untuned and at three ranks, take some half of it."""

_PATH = "/chat/completions"


@dataclass(frozen=True)
class JudgeSettings:
    """A language model behind an endpoint that speaks OpenAI's chat completions."""

    url: str
    """Where to post: the whole address."""
    model: str
    key: str = field(repr=False)
    """Goes into the request's header and nowhere else; empty for none."""
    most_tokens: int
    """No request is made that would exceed it, tokens of prompts and replies together."""

    @property
    def is_here(self) -> bool:
        """Whether requests stay on this machine."""
        return _is_loopback(urlsplit(self.url).hostname or "")


def judge_settings(
    url: str | None, model: str | None, most_tokens: str | None = None, environment: Mapping[str, str] = os.environ
) -> JudgeSettings | None:
    """What `--judge`, `--judge-model` and the cost cap ask for; None if there is to be no judge.

    The address may be the server's, its API's or the whole one. The key is OHLORA_JUDGE_API_KEY, even if that is empty,
    else OPENAI_API_KEY.

    Raises InputError for what cannot be used, and where a key would travel unencrypted.
    """
    if not url:
        if model:
            raise InputError(f"--judge-model {model!r} needs an endpoint: give its address with --judge")
        return None
    if not model or not model.strip():
        raise InputError(f"--judge {url} needs the name of a model there: give it with --judge-model")
    if not re.fullmatch(r"[0-9][0-9_]{0,14}", tokens := most_tokens or str(DEFAULT_MOST_TOKENS)) or not int(tokens):
        raise InputError(
            f"--judge-tokens {tokens!r} must be a whole number of at least 1, such as {DEFAULT_MOST_TOKENS}"
        )
    parts = _parts(url)
    name = OWN_KEY if OWN_KEY in environment else COMMON_KEY
    key = environment.get(name, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"the key in {name} has characters that no key can have: set it again")
    if key and parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise InputError(
            f"--judge {url} would send the key in {name} unencrypted: use https, or set {OWN_KEY} to nothing if this "
            "judge needs no key"
        )
    return JudgeSettings(_completions(parts), model.strip(), key, int(tokens))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        is_usable = False
    if not is_usable or not re.fullmatch(r"[!-~]+", url.strip()):
        raise InputError(f"--judge {url!r} is not a web address: give one such as http://localhost:11434/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            f"--judge must be an address without user name, '?' and '#': a key goes into the environment as {OWN_KEY}"
        )
    return parts


def _completions(parts: SplitResult) -> str:
    """The whole address; a version is part of it, and OpenAI's v1 where the user has given none."""
    path = parts.path.rstrip("/")
    if not path.endswith(_PATH):
        path += ("" if re.search(r"/v[0-9]", path) else "/v1") + _PATH
    return parts._replace(path=path).geturl()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
