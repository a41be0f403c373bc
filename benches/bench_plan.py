"""The plan: what each case would need on the card, at full size; it takes no GPU, no weights and no network."""


def bench_plan(candidate, planned_variant, plan, enforce_budget):
    """The memory it needs, its peak where there is room, and what that is made of: the real workload without data."""
    enforce_budget(plan(candidate, planned_variant).needs_device_mib)
