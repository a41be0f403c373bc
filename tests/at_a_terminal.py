"""A pytest session run as at a terminal."""

import contextlib
import os
import pty
import subprocess
import sys


def output_of(suite, *arguments):
    """What it prints, colours and cursor movements included."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=suite.path, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while chunk := os.read(ours, 4096):
            output += chunk
    process.wait()
    os.close(ours)
    return output.decode(errors="replace")
