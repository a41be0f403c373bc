"""A case: which candidate, in which variant, does what, planned or measured."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from .variants import VariantName

INFERENCE, FINE_TUNING = "inference", "fine_tuning"
BENCH = "bench_"
"""What a bench function's name begins with; behind it stands the workload, or `plan`."""
PLAN = "plan"

_ID = re.compile(rf"(?:^|::){BENCH}(\w+)\[(.+)\](?:@|$)")


@dataclass(frozen=True)
class Case:
    """One thing that is planned or measured: the key of whatever is known of it."""

    candidate: str
    workload: str
    """`inference`, `fine_tuning`, or that of somebody's own bench."""
    variant: VariantName | None = None
    """The variant's name; None for the untuned model."""
    is_planned: bool = False
    """Whether it is predicted; otherwise it runs."""

    @property
    def id(self) -> str:
        """What pytest calls it: `bench_fine_tuning[gemma-2-2b-it-r16]`, `bench_plan[gemma-2-2b-it-inference]`."""
        bench = PLAN if self.is_planned else self.workload
        of = self.workload if self.is_planned and self.variant is None else self.variant
        return f"{BENCH}{bench}[{self.candidate}{f'-{of}' if of else ''}]"

    @property
    def measured(self) -> Self:
        """The case that runs what this one plans; itself if it runs."""
        return replace(self, is_planned=False)

    @property
    def planned(self) -> Self:
        """The plan of this case; itself if it is one."""
        return replace(self, is_planned=True)

    @classmethod
    def of_bench(cls, bench: str, candidate: str, variant: str | None) -> Self:
        """What the function `bench_<bench>` runs; a plan is of inference if it has no variant."""
        workload = bench if bench != PLAN else INFERENCE if variant is None else FINE_TUNING
        return cls(candidate, workload, variant, is_planned=bench == PLAN)

    @classmethod
    def parse(cls, node_id: str, candidates: Iterable[str], variants: Iterable[str]) -> Self | None:
        """The case with this id or pytest node id, of these candidates and variants; None if it is none of theirs.

        Names may hold dashes, so only those that are known tell where a candidate's ends.
        """
        found = _ID.search(node_id)
        if found is None:
            return None
        bench, inside = found[1], found[2]
        by_end: dict[str, str | None] = {} if bench == INFERENCE else {f"-{name}": name for name in variants}
        if bench == PLAN:
            by_end[f"-{INFERENCE}"] = None
        elif bench != FINE_TUNING:  # inference, or somebody's own, with a variant or without
            by_end[""] = None
        known = set(candidates)
        for end, variant in sorted(by_end.items(), key=lambda item: len(item[0])):
            candidate = inside.removesuffix(end) if inside.endswith(end) else ""
            if candidate in known:
                return cls.of_bench(bench, candidate, variant)
        return None


def is_case_id(node_id: str) -> bool:
    """Whether a pytest node id has the form of a case's."""
    return _ID.search(node_id) is not None


def answering_case(candidate: str, variant: str | None) -> Case:
    """The case whose model has given answers: fine-tuned in a variant, or untuned for None."""
    return Case(candidate, INFERENCE if variant is None else FINE_TUNING, variant)
