"""Pytest sessions in processes of their own, without importing the heavy libraries in each.

A process that has imported them waits for sessions to run and forks for each: what a session changes stays its own.
Sessions that look at what is imported, or at what libraries read from the environment as they are imported, are started
by `runpytest_subprocess`.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_WAITING = """
import json, os, runpy, socket, sys
from transformers import AutoModelForCausalLM, GenerationConfig, Trainer
import accelerate, peft, pytest, torch

server = socket.socket(fileno=int(sys.argv[1]))
while True:
    told, files, _, _ = socket.recv_fds(server, 1 << 20, 2)
    if not told:
        break
    child = os.fork()
    if child:
        for file in files:
            os.close(file)
        server.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        continue
    server.close()
    asked = json.loads(told)
    for place, file in enumerate(files, 1):
        os.dup2(file, place)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:0] = [asked["folder"], *filter(None, asked["environment"].get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[:] = ["pytest", *asked["arguments"]]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    os._exit(0)
"""


class Forking:
    """The process that forks; started when the first session is."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = os.environ | {"HOME": self._home.name, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WAITING, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def run(self, arguments, stdout: Path, stderr: Path) -> int:
        """Run a session in the present folder and environment; returns pytest's exit code, or minus a signal."""
        asked = {"folder": str(Path.cwd()), "environment": dict(os.environ), "arguments": [*map(str, arguments)]}
        with stdout.open("wb") as out, stderr.open("wb") as errors:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], [out.fileno(), errors.fileno()])
            told = self._socket.recv(64)
        assert told, "the process that forks has ended"
        return int(told)

    def end(self) -> None:
        """Let it go."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._home.cleanup()
