"""Print plan against measurement: `python -m ohlora_fixtures.validation [FOLDER ...]`."""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

from ..base.errors import InputError
from ..base.installation import DATA, REFERENCE
from ..results.folder import RECORDS
from . import fms_acceleration, peft_metamathqa, study
from .compared import Compared, compare_records

TABLES: Mapping[str, Callable[[Path], Iterator[Compared]]] = MappingProxyType(
    {
        fms_acceleration.FOLDER.name: fms_acceleration.compare,
        peft_metamathqa.FOLDER.name: peft_metamathqa.compare,
        REFERENCE.name: study.compare,
    }
)
"""By its folder's name, what plans the runs of a published table."""

_WRONG_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each figure as soon as it is planned; the result is the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ohlora_fixtures.validation", description="Hold what is planned against what was measured."
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help=f"results folders of cases measured on a GPU (default: {DATA / 'reference'})",
    )
    given = parser.parse_args(arguments).folders
    folders = given or sorted(
        each for each in (DATA / "reference").iterdir() if each.name in TABLES or (each / RECORDS).is_file()
    )
    try:
        for folder in folders:
            _print(folder)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return _WRONG_INPUT
    return 0


def _print(folder: Path) -> None:
    write = sys.stdout.write
    off: dict[str, list[float]] = {}
    for each in TABLES.get(folder.name, compare_records)(folder):
        if not off:
            write(f"{folder.name}\n  {'plan':>10} {'measured':>10} {'off by %':>9}  figure\n")
        digits = 0 if each.unit == "MiB" else 1
        write(
            f"  {each.planned:>10,.{digits}f} {each.measured:>10,.{digits}f} {each.off_percent:>+9.3f}  "
            f"{each.quantity}, {each.unit}: {each.run}\n"
        )
        sys.stdout.flush()
        off.setdefault(each.quantity, []).append(abs(each.off_percent))
    if not off:
        write(f"{folder.name}: no measured case has a peak and a plan\n")
    for quantity, percent in off.items():
        write(f"  {quantity}: largest error {max(percent):.3f} %, mean {fmean(percent):.3f} %\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of libraries, at import
    sys.exit(main())
