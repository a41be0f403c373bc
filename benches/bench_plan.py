"""The plan: what each case would need on the card, at full size; it takes no GPU, no weights and no network."""


def bench_plan(candidate, planned_variant, plan, enforce_budget):
    """Peak memory and what it is made of, from the real workload on tensors without data."""
    enforce_budget(plan(candidate, planned_variant).peak_device_mib)
