"""Candidates that fit in no variant, and what would make them fit."""

from made import changed
from page_data import BUDGET_MIB, candidates, compared, records

from ohlora_fixtures.base.messages import message
from ohlora_fixtures.results.fit import above_budget
from ohlora_fixtures.results.record import plain


def too_large():
    """A plan alone, of two candidates that fit in no variant: of one two changes are enough, of the other not all."""
    chosen = candidates(3)
    planned = [each for each in records(chosen) if each.case.is_planned]
    found = []
    for number, candidate in enumerate(chosen):
        own = [each for each in planned if each.case.candidate == candidate.name]
        needed = min(each.needs_device_mib for each in own if each.case.variant)
        budget_mib = (needed - 2000, needed - 2500, BUDGET_MIB)[number]
        changes = _changes(needed, enough=number == 0) if number < 2 else None
        for each in own:
            over = number < 2 and each.case.variant
            figures = {"outcome": "over_budget", "reason": above_budget(needed, budget_mib)} if over else {}
            if each.case.variant == "r16":
                figures["changes"] = changes
            found.append(changed(each, budget_mib=budget_mib, **figures))
    return compared(found, chosen)


def _changes(needed_mib, *, enough):
    """What would make a variant fit that needs so much."""
    values = {"accumulation": {"count": 4}, "rows": {"tokens": 58, "count1": 2, "count2": 20}}

    def change(saved_mib, *keys):
        return {
            "told": plain([message(f"changed.{key}", **values.get(key, {})) for key in keys]),
            "variant": {"name": "-".join(["r16", *keys]), "adapter": {"peft_type": "LORA", "r": 16}},
            "row_tokens": 58 if "rows" in keys else None,
            "needs_device_mib": needed_mib - saved_mib,
            "work": {"flops": 10**15 + 3 * 10**14 * ("checkpointing" in keys)},
            "seconds": 60.0 + 20 * len(keys),
        }

    keys = ("accumulation", "checkpointing", "qlora") if enough else ("rows", "accumulation", "adamw8bit")
    return {
        "variant": "r16",
        "added": [change(800 * count, *keys[:count]) for count in range(4)],
        "enough": change(2200, keys[0], keys[2]) if enough else None,
        "not_planned": [],
    }
