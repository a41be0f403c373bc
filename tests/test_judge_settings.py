"""Which judge is asked: its address, its key, what it may cost, and what is refused before anything is measured."""

import pytest
from test_judge import KEY

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.inputs.judge_settings import DEFAULT_MOST_TOKENS, judge_settings


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:11434/", "http://localhost:11434/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://[::1]:8000/v1/chat/completions", "http://[::1]:8000/v1/chat/completions"),
        ("https://openrouter.example/api", "https://openrouter.example/api/v1/chat/completions"),
        ("https://x.example/v1beta/openai", "https://x.example/v1beta/openai/chat/completions"),
        ("https://x.example/chat/completions/", "https://x.example/chat/completions"),
    ],
)
def test_the_address_may_be_the_servers_or_the_apis_or_the_whole(given, asked):
    assert judge_settings(given, "m", None, {"OPENAI_API_KEY": KEY}).url == asked


def test_the_key_comes_from_the_environment_the_suites_own_first():
    def key(**environment):
        return judge_settings("https://x.example", "m", None, environment).key

    assert key(OPENAI_API_KEY="common") == "common"
    assert key(OPENAI_API_KEY="common", OHLORA_JUDGE_API_KEY=" own\n") == "own"
    assert key(OPENAI_API_KEY="common", OHLORA_JUDGE_API_KEY="") == ""
    assert key() == ""


def test_without_judge_there_is_none_and_the_cap_has_a_default():
    assert judge_settings(None, None) is None
    assert judge_settings("https://x.example", "m", None, {}).most_tokens == DEFAULT_MOST_TOKENS
    assert judge_settings("https://x.example", "m", "200_000", {}).most_tokens == 200_000


@pytest.mark.parametrize(
    ("url", "model", "tokens", "says"),
    [
        (None, "m", None, "--judge-model 'm' needs an endpoint: give its address with --judge"),
        (
            "https://x.example",
            None,
            None,
            "--judge https://x.example needs the name of a model there: give it with --jud",
        ),
        ("https://x.example", " ", None, "needs the name of a model"),
        (
            "localhost:11434",
            "m",
            None,
            "--judge 'localhost:11434' is not a web address: give one such as http://localhost:11434/v1",
        ),
        ("file:///etc/passwd", "m", None, "is not a web address"),
        ("http://", "m", None, "is not a web address"),
        ("http://[::1", "m", None, "is not a web address"),
        ("http://x:70000", "m", None, "is not a web address"),
        ("https://x.example/a b", "m", None, "is not a web address"),
        ("https://x.example/\nv1", "m", None, "is not a web address"),
        (
            "https://me:word@x.example",
            "m",
            None,
            "--judge must be an address without user name, '?' and '#': a key goes into",
        ),
        ("https://x.example/v1?key=word", "m", None, "without user name, '?' and '#'"),
        (
            "http://192.168.0.5:8000",
            "m",
            None,
            "would send the key in OHLORA_JUDGE_API_KEY unencrypted: use https, or set ",
        ),
        ("http://localhost.example", "m", None, "unencrypted"),
        ("https://x.example", "m", "0", "--judge-tokens '0' must be a whole number of at least 1, such as 1000000"),
        ("https://x.example", "m", "12k", "--judge-tokens '12k' must be"),
        ("https://x.example", "m", "-5", "--judge-tokens '-5' must be"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_measured(url, model, tokens, says):
    with pytest.raises(InputError) as error:
        judge_settings(url, model, tokens, {"OHLORA_JUDGE_API_KEY": KEY})
    assert says in str(error.value)
    assert KEY not in str(error.value)
    assert "word" not in str(error.value)


def test_a_key_with_a_line_end_within_is_not_shown():
    with pytest.raises(InputError, match="the key in OPENAI_API_KEY has characters that no key can have: set it again"):
        judge_settings("https://x.example", "m", None, {"OPENAI_API_KEY": "a\r\nHost: b"})


def test_another_machine_without_encryption_may_judge_if_no_key_is_sent():
    assert (
        judge_settings("http://192.168.0.5:8000", "m", None, {"OHLORA_JUDGE_API_KEY": "", "OPENAI_API_KEY": KEY}).key
        == ""
    )
