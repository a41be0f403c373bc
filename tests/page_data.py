"""Results that look like a session's, made up: the same every time, of any number of candidates, and in every state."""

import csv
import random
from dataclasses import replace

from made import changed, made

from ohlora_fixtures.base.installation import DATA, REFERENCE
from ohlora_fixtures.base.messages import message
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.meters.card import taints_of_use
from ohlora_fixtures.meters.memory import MemoryReading
from ohlora_fixtures.results.answers import GivenAnswer
from ohlora_fixtures.results.comparison import compare, read_published
from ohlora_fixtures.results.fit import above_budget
from ohlora_fixtures.results.record import Measured
from ohlora_fixtures.session.records import out_of_memory

RANKS = {"r16": 16, "r32": 32, "r64": 64}
"""By variant, its LoRA rank."""
PROMPTS = 25
STEPS = 50
BUDGET_MIB = 12288.0
CONTEXT_MIB = 384.0
CARD = "NVIDIA GeForce RTX 3060"
ENVIRONMENT = {
    "started_utc": "2026-03-04T05:06:07+00:00",
    "command": ["pytest", "benches"],
    "platform": "Linux-6.8.0-x86_64-with-glibc2.39",
    "cores": 8,
    "nvidia_driver": "570.86.15",
    "gpus": [CARD],
    "variables": {"PYTORCH_ALLOC_CONF": None, "CUDA_VISIBLE_DEVICES": "0"},
    "versions": {"python": "3.12.3", "torch": "2.13.0", "transformers": "5.23.0"},
}

_PROTOCOL = {
    "lora_alpha": 16,
    "batch_size": 4,
    "epochs": 10,
    "learning_rate": 0.0002,
    "warm_up_steps": 5,
    "warm_up_prompts": 1,
}
_ADVICE = {
    "variant": "r16",
    "batch_size": 4,
    "row_tokens": 62,
    "largest_batch": 10,
    "largest_rank": 208,
    "checkpointing_saves_mib": 1180.4,
}
_WORDS = (
    "그래서",
    "오늘은",
    "정말",
    "음",
    "별이",
    "바다",
    "귤",
    "하하",
    "the",
    "네",
    "저는",
    "잘",
    "모르겠",
    "습니다",
    "2023년",
)


def candidates(count=7, name_length=None):
    """The shipped candidates, and more like them; or as many with names of a length."""
    shipped = read_candidates(DATA / "candidates.toml")
    found = [shipped[number % len(shipped)] for number in range(count)]
    found = [
        replace(each, name=f"{each.name}-{number}") if number >= len(shipped) else each
        for number, each in enumerate(found)
    ]
    if name_length is not None:
        found = [
            replace(each, name=f"{each.name}-{'long-name-' * 8}"[: name_length - 2] + f"{number:02}")
            for number, each in enumerate(found)
        ]
    return tuple(found)


def fact(candidate, variant, **figures):
    """A record of a case that passed."""
    common = {
        "protocol": _PROTOCOL,
        "protocol_hash": "b63317e6c20a",
        "dataset_sha256": "8f3e43c5",
        "budget_mib": BUDGET_MIB,
        "versions": {"python": "3.12.3", "torch": "2.13.0"},
        "scale": "full",
        "device": CARD,
    }
    return made(candidate.name, variant, **common | figures)


def _planned_seconds(each, size):
    whole = each * STEPS if size else each
    ends = {"seconds": whole, "seconds_low": whole / 2, "seconds_high": whole * 2}
    return {**ends, "seconds_a_step": each if size else None, "seconds_basis": "rough"}


def plan(candidate, variant, chance):
    """What a case would need."""
    billions = candidate.parameters / 1e9
    size = RANKS.get(variant, 0)
    breakdown = {
        "base_weights": billions * 1907,
        "adapters": size * billions * 1.9,
        "gradients": 0.0,
        "optimizer": size * billions * 3.8,
        "activations": billions * 500 * bool(size) + 8,
        "logits_and_loss": (80 + 300 * billions * chance.random()) * bool(size) + 3,
        "workspace": 16.25,
        "wasted": 5 + 20 * chance.random(),
    }
    allocated = sum(breakdown.values())
    reserved = round(allocated * (1.03 + 0.1 * chance.random()) / 2) * 2.0
    needs = round((allocated + reserved) / 4) * 2.0
    return fact(
        candidate,
        variant,
        is_planned=True,
        parameters=candidate.parameters,
        trainable_parameters=int(size * candidate.parameters / 2000) or None,
        tokenizer="estimated",
        gpu_profile="rtx3060-12gb",
        allocated_after_mib=billions * 1920 + size * billions * 6,
        peak_allocated_mib=allocated,
        peak_reserved_mib=reserved,
        context_mib=CONTEXT_MIB,
        peak_device_mib=reserved + CONTEXT_MIB,
        needs_mib=needs,
        needs_device_mib=needs + CONTEXT_MIB,
        breakdown_mib=breakdown,
        longest_tokens=62 if size else 23,
        peak_batch_tokens=62 if size else None,
        **_planned_seconds(0.1 + 0.4 * billions, size),
        advice=dict(_ADVICE) if variant == "r16" else None,
    )


def measured(planned, candidate, chance, quality):
    """What such a case was measured to need."""
    predicted, variant, billions = planned.plan, planned.case.variant, candidate.parameters / 1e9
    rank = RANKS.get(variant)
    each = 0.1 + 0.42 * billions + (rank or 0) * 0.002 if rank else 0.3 + 0.7 * billions * chance.random()
    count, warm = (STEPS, 5) if rank else (PROMPTS, 1)
    times = [each * (1 + 0.05 * chance.random() + 0.4 * (chance.random() < 0.05)) for _ in range(count)]
    times[:warm] = [time * 2.5 for time in times[:warm]]
    steady = sorted(times[warm:])
    reserved = predicted.peak_reserved_mib + 2 * chance.randrange(-20, 20)
    facts = {
        "weights": "hub",
        "tokenizer": "own",
        "parameters": candidate.parameters,
        "seconds": sum(times),
        "seconds_each": times,
        "steady_median_seconds": steady[len(steady) // 2],
        "steady_iqr_seconds": steady[len(steady) * 3 // 4] - steady[len(steady) // 4],
        "tokens": count * 40,
        "allocated_after_mib": predicted.allocated_after_mib + chance.random(),
        "peak_allocated_mib": predicted.peak_allocated_mib * (1 + 0.004 * chance.random()),
        "peak_reserved_mib": reserved,
        "context_mib": CONTEXT_MIB - 12,
        "peak_device_mib": reserved + CONTEXT_MIB - 12,
        "planned_peak_reserved_mib": predicted.peak_reserved_mib,
        "planned_peak_allocated_mib": predicted.peak_allocated_mib,
        "leaked_mib": 0.0,
        "highest_temperature_c": 61 + round(4 * billions),
        "lowest_sm_clock_mhz": 1785 - 15 * round(4 * billions),
        "taints": [],
    }
    if rank:
        before, fall = 3.2 + len(candidate.name) % 7 / 5, 6 + 8 * chance.random()
        facts |= {
            "losses": [
                before * (0.02 + 0.98 * 2.718 ** (-step / fall)) + 0.15 * chance.random() for step in range(STEPS)
            ],
            "untuned_held_out_loss": before + 0.1,
            "held_out_loss": before * (0.55 + 0.2 * chance.random() + rank / 250),
            "is_overfitted": rank == 64 and chance.random() < 0.5,
            "tflops_per_second": 11.4,
            "flops_utilization": 0.21 + 0.2 * chance.random(),
            "untuned_trained_nats_per_character": 2.4,
            "untuned_held_out_nats_per_character": 2.4,
        }
    else:
        facts |= {"gb_per_second": 198.0, "bandwidth_utilization": 0.55}
    half = 4 + 5 * chance.random()
    facts |= {
        "trained_nats_per_character": 1.1 if rank else 2.4,
        "held_out_nats_per_character": 1.8 if rank else 2.4,
        "quality_score": quality,
        "quality_each": [quality] * PROMPTS,
        "quality_interval": [max(0.0, quality - half), min(100.0, quality + half)],
        "quality_grade": grade(quality),
        "quality_parts": {
            "empty": 0.0,
            "same": 0.04,
            "repetition": 0.1,
            "foreign": 0.03,
            "cut_off": 0.16,
            "said": quality / 100,
        },
    }
    return fact(candidate, variant, **facts)


def grade(score):
    """The score's fifth."""
    return ("최하", "하", "중", "상", "최상")[min(4, int(score // 20))]


def records(chosen, names=()):
    """A plan and a measurement of every case; names may stand for those of variants."""
    named = dict(zip(RANKS, names or RANKS, strict=True))
    found = []
    for number, candidate in enumerate(chosen):
        chance = random.Random(number)
        level = 35 + 40 * chance.random()
        for variant in (None, *RANKS):
            planned = plan(candidate, variant, chance)
            quality = level - 18 if variant is None else level + 8 * chance.random() - 3
            found += [planned, measured(planned, candidate, chance, quality)]
    return [
        each if variant is None else replace(each, case=replace(each.case, variant=named[variant]))
        for each in found
        for variant in [each.case.variant]
    ]


def compared(found, chosen, notes=()):
    """The comparison of records."""
    return compare(chosen, tuple(RANKS), found, read_published(REFERENCE), notes)


def full(count=7, name_length=None, names=()):
    """A whole session's comparison, in which everything passed."""
    chosen = candidates(count, name_length)
    return compared(records(chosen, names), chosen)


def with_troubles(count=7):
    """One in which cases went over the budget, ran out of memory, failed and were doubtful."""
    chosen = candidates(count)
    found = records(chosen)
    first, second, third = (each.name for each in chosen[:3])
    lacking = ("seconds", "seconds_each", "steady_median_seconds", "steady_iqr_seconds", "losses", "peak_device_mib")
    lacking += ("quality_score", "quality_interval", "is_overfitted", "held_out_loss", "untuned_held_out_loss")
    nothing = dict.fromkeys(lacking)

    def troubled(record):
        if record.case.is_planned or record.case.variant is None:
            return record
        if record.case.candidate == first and record.case.variant == "r32":
            over = {"peak_reserved_mib": 12600.0, "peak_device_mib": 12972.0, "outcome": "over_budget"}
            return changed(record, **over, reason=above_budget(12972.0, BUDGET_MIB))
        if record.case.candidate == first and record.case.variant == "r64":
            reached = {"peak_reserved_mib": 11900.0, "requested_mib": 844.0, "cap_mib": 11916.0}
            memory = MemoryReading(peak_reserved_mib=11900.0)
            ending = out_of_memory(Measured(memory=memory, requested_mib=844.0, cap_mib=11916.0), 12600.0)
            return changed(record, **nothing | reached, outcome="out_of_memory", reason=ending)
        if record.case.candidate == second:
            gone = nothing | {"peak_reserved_mib": None, "peak_allocated_mib": None, "allocated_after_mib": None}
            return changed(
                record, **gone, outcome="error", reason=f"ValueError: hidden size 1792 is no multiple of {'/24' * 40}"
            )
        if record.case.candidate == third:
            return changed(record, taints=taints_of_use(2, 35, 9000.0, BUDGET_MIB)[:2])
        return record

    return compared([troubled(record) for record in found], chosen, notes=(message("note.resumed", count=3),))


def rehearsal(count=7):
    """A session without a GPU: plans, and replicas."""
    chosen = candidates(count)
    unknown = ("peak_device_mib", "peak_reserved_mib", "peak_allocated_mib", "context_mib", "allocated_after_mib")
    unknown += ("leaked_mib", "highest_temperature_c", "lowest_sm_clock_mhz")
    unknown += ("quality_score", "quality_interval", "quality_grade", "quality_parts", "planned_peak_reserved_mib")
    small = dict.fromkeys(unknown) | {"scale": "mini", "weights": "random", "device": "CPU"}
    small |= {"peak_rss_growth_mib": 61.5, "not_judged": message("not_judged.random_weights")}
    found = [each if each.case.is_planned else changed(each, **small) for each in records(chosen)]
    return compared(found, chosen)


def plan_only(count=7):
    """A plan alone."""
    chosen = candidates(count)
    return compared([each for each in records(chosen) if each.case.is_planned], chosen)


def empty():
    """A session that was broken off before its first case had ended."""
    return compared([], candidates())


def answers(comparison, count=PROMPTS):
    """Every candidate's answers to so many prompts, untuned and in each variant."""
    with (DATA / "dialogues.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chance = random.Random(1)
    prompts = [rows[81 + number % 100]["input_data"] for number in range(count)]
    own = {row["input_data"]: row["output_data"] for row in rows}
    tuned = [rows[number]["output_data"] or "응" for number in range(200)]

    def given(prompt, variant):
        if variant is None:
            text = " ".join(chance.choice(_WORDS) for _ in range(chance.randrange(0, 24)))
        else:
            text = chance.choice((*tuned, "ㅋ" * 120, "https://example.com/" + "a" * 120))
        graded = "중" if variant is None and prompt == prompts[0] else ""
        cut_off = variant is None and len(text) > 60
        return GivenAnswer(prompt, text, len(text), 0.5, is_cut_off=cut_off, grade=graded, dataset_answer=own[prompt])

    return {
        answering_case(row.candidate.name, variant): [given(prompt, variant) for prompt in prompts]
        for row in comparison.rows
        for variant in (None, *comparison.variants)
    }
