"""A judge's connection: whatever a server or a network does, what it costs, and who sees the key."""

import json
import socket
import struct
import threading

import pytest
from judge_server import KEY, TUNED, fails, grades, many, says, serving
from made import said

from ohlora_fixtures.base.installation import JUDGE_PROMPT
from ohlora_fixtures.inputs.judge_settings import judge_settings
from ohlora_fixtures.quality.judge import judge_answers
from ohlora_fixtures.quality.judge_endpoint import estimated_tokens


def test_too_many_requests_are_waited_for_as_long_as_the_server_asks(judge):
    replies = [
        fails(429, Retry_After="7"),
        fails(503, Retry_After="9999"),
        fails(429, Retry_After="soon"),
        grades("상"),
    ]
    with serving(*replies) as server:
        assert judge(server.url).points == {TUNED: (70,)}
    assert judge.waits[:2] == [7, 60]
    assert 0 <= judge.waits[2] <= 4


def test_a_server_that_fails_for_ever_is_left_after_four_tries(judge):
    with serving(grades("상"), fails(500, f"out of\nmemory {KEY}")) as server:
        judged = judge(server.url, many(3))
    assert len(server.requests) == 1 + 4
    assert all(0 <= wait <= most for wait, most in zip(judge.waits, (1, 2, 4), strict=True))
    assert judged.points[TUNED] == (70, None, None)
    assert said(judged.notes)[1] == (
        f"the judge at {server.url}/v1/chat/completions answers with HTTP status 500 (out of memory ***): 1 of 3 "
        "answers judged; those are kept, and another run asks for the rest"
    )


def test_a_judge_that_is_down_is_said_and_what_is_kept_still_counts(judge):
    with serving(grades("상")) as server:
        judge(server.url, many(1))
    judged = judge(server.url, many(3))  # the port is closed now
    assert judged.points[TUNED] == (70, None, None)
    assert said(judged.notes)[1] == (
        f"the judge at {server.url}/v1/chat/completions cannot be reached (Connection refused): 1 of 3 answers judged; "
        "those are kept, and another run asks for the rest"
    )
    assert len(judge.waits) == 3


def test_a_host_that_can_have_no_address_is_said(judge):
    assert "cannot be reached (" in said(judge("http://a..b", key="").notes)[1]


def hang_up(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no end
    handler.connection.close()


def speak_otherwise(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.parametrize("broken", [hang_up, speak_otherwise])
def test_a_broken_connection_is_tried_again(judge, broken):
    with serving(broken, broken, grades("상")) as server:
        assert judge(server.url).points == {TUNED: (70,)}
    with serving(broken) as server:
        assert "cannot be reached (" in said(judge(server.url, many(1)).notes)[1]


OK, CHUNKED = b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("pause_seconds", [0.02, 0])
@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (b"", b""),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"),
        (b"HTTP/1.1 200 ", b"O"),
        (OK + b"X: ", b"y"),
        (OK + b"\r\n", b" "),
        (OK + CHUNKED, b"1\r\n \r\n"),
        (OK + CHUNKED, b"1"),
        (OK + CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
)
def test_a_judge_that_never_ends_times_out_whatever_it_sends(judge, begins, goes_on, pause_seconds):
    released = threading.Event()

    def send_for_ever(handler):
        handler.wfile.write(begins)
        while not released.wait(pause_seconds):
            handler.wfile.write(goes_on * (1 if pause_seconds else 100))

    with serving(send_for_ever) as server:
        judged = judge(server.url, timeout_seconds=0.1)
        released.set()
    assert judged.points == {TUNED: (None,)}
    if pause_seconds:  # a flood can be too much before its time is up
        assert "cannot be reached (timed out): 0 of 1 answers judged" in said(judged.notes)[1]


def test_somebody_who_waits_no_longer_has_what_is_known_until_then(tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    with serving(grades("상"), fails(500)) as server:
        settings = judge_settings(server.url, "grader", None, {})
        judged = judge_answers(settings, tmp_path, many(3), sleep=interrupt)
    assert judged.points[TUNED] == (70, None, None)
    assert "was not waited for any longer: 1 of 3 answers judged; those are kept" in said(judged.notes)[1]


def test_a_name_that_nobody_resolves_in_time_times_out(judge, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60))
    judged = judge("https://judge.example", timeout_seconds=0.1)
    released.set()
    assert "cannot be reached (timed out): 0 of 1 answers judged" in said(judged.notes)[1]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (fails(401, f"bad key {KEY}"), "status 401 (bad key ***; set the right key as OHLORA_JUDGE_API_KEY): 0 of 2"),
        (fails(404, "no such model"), "status 404 (no such model; correct --judge or --judge-model): 0 of 2 answers"),
        ((404, {}, b"<html>"), "status 404 (Not Found; correct --judge or --judge-model): 0 of 2 answers judged"),
        ((403, {}, b'{"error": "blocked"}'), "status 403 (blocked; set the right key"),
    ],
)
def test_a_wrong_address_key_or_model_is_not_tried_again(judge, reply, says):
    with serving(reply) as server:
        judged = judge(server.url, many(2))
    assert (len(server.requests), judge.waits) == (1, [])
    assert says in said(judged.notes)[1]


def test_an_answer_that_the_judge_refuses_is_left_and_the_next_one_asked(judge):
    with serving(fails(400, "content filter"), grades("상")) as server:
        judged = judge(server.url, many(2))
    assert (judged.points[TUNED], len(server.requests)) == ((None, 70), 2)
    with serving(fails(400, "temperature must be 1")) as server:
        assert (
            "(the last time it answers with HTTP status 400 (temperature must be 1))"
            in said(judge(server.url, many(9)).notes)[1]
        )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed_so_that_no_other_host_sees_the_key(judge, status):
    with serving(grades("최상")) as other, serving((status, {"Location": f"{other.url}/v1"}, b"")) as server:
        judged = judge(server.url)
    assert (len(server.requests), other.requests) == (1, [])
    assert (
        f"status {status} (moved to {other.url}/v1; give that address to --judge if you trust it)"
        in said(judged.notes)[1]
    )


def test_a_proxy_sees_nothing_of_what_stays_on_this_machine(judge, monkeypatch):
    with serving(grades("최상")) as proxy, serving(grades("상")) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert judge(server.url).points == {TUNED: (70,)}
    assert proxy.requests == []


def test_the_cap_is_looked_at_before_each_request_and_said(judge):
    one = estimated_tokens(JUDGE_PROMPT.read_text(encoding="utf-8")) + 100
    with serving(grades("상", tokens=1000)) as server:
        judged = judge(server.url, many(5), tokens=str(2000 + one))
        assert (len(server.requests), judged.points[TUNED]) == (3, (70, 70, 70, None, None))
        assert said(judged.notes)[1] == (
            f"the judge at {server.url}/v1/chat/completions would cost more than the cap of {2000 + one:,} tokens: "
            "3 of 5 answers judged; those are kept, and another run asks for the rest"
        )
        again = judge(server.url, many(5), tokens=str(2000 + one))
        assert again.points[TUNED] == (70,) * 5


def test_a_request_that_just_fits_under_the_cap_is_made(judge):
    with serving(grades("상")) as server:
        judge(server.url)
        fits = estimated_tokens(server.messages[0])
        judge(server.url, model="b", tokens=str(fits))
        judge(server.url, model="c", tokens=str(fits - 1))
    assert [json.loads(body)["model"] for _, _, body in server.requests] == ["grader", "b"]


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": -5}, {"total_tokens": "9"}, {"total_tokens": True}])
def test_what_a_server_does_not_count_is_estimated(judge, usage):
    with serving(says('{"grade": "상"}', usage=usage)) as server:
        judge(server.url)
    assert json.loads(judge.kept.read_bytes())["tokens"] == estimated_tokens(server.messages[0]) + 6


def test_the_key_is_in_no_file_and_no_message(judge, tmp_path):
    settings = judge_settings("https://x.example", "m", None, {"OHLORA_JUDGE_API_KEY": KEY})
    assert KEY not in f"{settings!r} {settings}"
    for number, hidden in enumerate(("", "\u202e", "\u200f\u061c", "\x1b", "\u200b")):
        told = f"{KEY[:5]}{hidden}{KEY[5:]}"
        with serving(grades("상", reason=f"key {told}")) as server:
            judged = judge(server.url, many(number + 1))
        with serving(fails(401, told)) as server:
            refused = judge(server.url, many(number + 2))
        for notes in (judged.notes, refused.notes):
            assert KEY[5:] not in " ".join(said(notes))
    assert all(json.loads(line)["reason"] == "key ***" for line in judge.kept.read_bytes().splitlines())
    assert [path.name for path in tmp_path.rglob("*") if KEY.encode() in path.read_bytes()] == []


def test_without_a_key_none_is_sent(judge):
    with serving(grades("상")) as server:
        judge(server.url, key="")
    assert "Authorization" not in server.requests[0][1]


def test_verdicts_that_cannot_be_kept_count_all_the_same(judge):
    judge.kept.mkdir()
    with serving(grades("상")) as server:
        judged = judge(server.url)
    assert judged.points == {TUNED: (70,)}
    assert said(judged.notes)[1:] == (
        "judged.jsonl cannot be written (Is a directory): another run asks and pays again",
    )


def test_nothing_to_judge_is_nothing_to_say(judge):
    assert judge("http://127.0.0.1:9", {TUNED: []}).notes == ()
