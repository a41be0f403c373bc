"""How pytest-xdist hands out cases so that one which ends its worker's process runs once.

It is imported only where pytest-xdist is there.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadGroupScheduling


class CrashingCaseOnce(LoadGroupScheduling):  # type: ignore[misc]
    """`--dist loadgroup`, which by itself hands the case that ended a worker to the next worker, and the next."""

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
