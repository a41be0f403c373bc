"""An endpoint on this machine that replies as a test wants it to, and answers to judge."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.results.answers import GivenAnswer

KEY = "sk-a-secret"
HELLO, WHY = GivenAnswer("안녕?", "응, 안녕!"), GivenAnswer("왜?", "그냥.")
TUNED, UNTUNED = answering_case("a", "r16"), answering_case("a", None)
ONE = {TUNED: [HELLO]}


def many(count):
    return {TUNED: [GivenAnswer(f"질문 {number}?", "응.") for number in range(count)]}


def says(content, **facts):
    """A chat completion with that message."""
    return 200, {}, json.dumps({"choices": [{"message": {"content": content}}], **facts}).encode()


def grades(grade, reason="이유", tokens=None):
    usage = {} if tokens is None else {"usage": {"total_tokens": tokens}}
    return says(json.dumps({"grade": grade, "reason": reason}), **usage)


def fails(status, message="no", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error": {"message": message}}).encode()


class Server(ThreadingHTTPServer):
    """Replies in the order given, the last one for ever; a callable writes to the socket itself."""

    daemon_threads = True

    def __init__(self, replies):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def messages(self):
        return [json.loads(body)["messages"][0]["content"] for _, _, body in self.requests]

    def handle_error(self, request, client_address):
        """A client that hangs up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.requests.append((self.path, dict(self.headers), body))
        reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
        if callable(reply):
            reply(self)
            return
        status, headers, data = reply
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST  # noqa: N815 - a redirect followed becomes one

    def log_message(self, *_):
        """Silence."""


@contextmanager
def serving(*replies):
    server = Server(replies)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
