"""Memory sizes as people write them."""

import re

from .errors import InputError

MIB = 2**20
"""Bytes in a MiB."""

_MIB_PER_UNIT = {"gb": 1024.0, "gib": 1024.0, "mib": 1.0}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?) ?(GB|GiB|MiB)\s*", re.IGNORECASE)


def parse_size_mib(text: str) -> float:
    """Read `12GB`, `12GiB`, `12288MiB` or `11.5 GB` as MiB; raises InputError for anything else, zero included.

    `GB` is what card makers mean by it, GiB: a 12 GB card holds 12288 MiB.
    """
    match = _SIZE.fullmatch(text)
    mib = float(match[1]) * _MIB_PER_UNIT[match[2].lower()] if match else 0.0
    if not 0 < mib < float("inf"):
        raise InputError(
            f"{text!r} is not a memory size: write a positive number and GB, GiB or MiB, "
            "such as 12GB, 12GiB, 12288MiB or 11.5 GB"
        )
    return mib
