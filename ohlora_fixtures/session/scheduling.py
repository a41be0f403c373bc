"""How pytest-xdist hands out cases: a candidate's to one worker, and one that ends its worker's process once.

It is imported only where pytest-xdist is there.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling

from . import cases
from .asked import SETTINGS


class CandidateScheduling(LoadGroupScheduling):  # type: ignore[misc]
    """`--dist loadgroup`, with two things it does not do by itself.

    It groups by a suffix of the node id, which pytest-xdist 3.8 cannot put there with pytest 9.2; so a candidate's
    cases are known here by their ids. And it hands a case that ended its worker to the next worker, and the next.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self._settings = config.stash[SETTINGS]

    def _split_scope(self, nodeid: str) -> str:
        """The group that an item with this id belongs to."""
        case = cases.parsed(nodeid, self._settings)
        return str(case.candidate if case else super()._split_scope(nodeid))

    def remove_node(self, node: Any) -> str | None:
        """When a worker is gone: the case it died of, if it did; the rest of its cases are handed out anew."""
        for unit in self.assigned_work[node].values():
            for nodeid, is_completed in unit.items():
                if not is_completed:
                    unit[nodeid] = True
                    super().remove_node(node)
                    return str(nodeid)
        super().remove_node(node)
        return None
