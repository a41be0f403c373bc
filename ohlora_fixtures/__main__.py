"""The command line beside pytest's: `python -m ohlora_fixtures`.

It imports nothing heavy, no torch and no transformers, except to build or download an architecture, or for a recipe.
"""

import argparse
import gc
import os
import sys
from collections.abc import Sequence

from .base.errors import InputError
from .commands import candidates, merge, printing, recipe, report

_WRONG_INPUT = 2
"""The exit status that argparse, too, gives for what it cannot use."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the result is the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ohlora_fixtures", description="What is done beside pytest sessions."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (report, merge, candidates, recipe):
        command.add_to(commands)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except InputError as error:
        printing.say(f"error: {error}", to_stderr=True)
        return _WRONG_INPUT
    except BrokenPipeError:  # the reader, such as `head`, has seen enough: the rest goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    gc.set_threshold(100_000)  # of what a command makes most is kept: to look for garbage more often finds none
    sys.exit(main())
