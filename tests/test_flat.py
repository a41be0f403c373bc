"""Records as flat rows of named figures: lines of the first version, and what pytest-benchmark keeps."""

import json

import pytest
from made import made

from ohlora_fixtures.base.installation import REFERENCE
from ohlora_fixtures.inputs.cases import Case
from ohlora_fixtures.results.flat import PATHS, extra_info, figure, record_of_flat
from ohlora_fixtures.results.folder import read_records
from ohlora_fixtures.results.record import record_of

LINE = {
    "case": "bench_fine_tuning[gemma-2-2b-it-r16]",
    "candidate": "gemma-2-2b-it",
    "workload": "fine_tuning",
    "lora_rank": 16,
    "outcome": "passed",
    "reason": None,
    "protocol": {"epochs": 10},
    "protocol_hash": "0123456789ab",
    "protocol_changes": ["epochs 10 instead of 20"],
    "dataset_sha256": "ab",
    "budget_mib": 12288.0,
    "versions": {"torch": "2.12.0"},
}
ON_GPU = {
    "scale": "full",
    "weights": "hub",
    "device": "NVIDIA T4",
    "native_bf16": False,
    "attention_backends": ["math"],
    "parameters": 2614341888,
    "trainable_parameters": 3194880,
    "seconds": 58.7,
    "seconds_each": [1.5, 1.25],
    "losses": [2.5, None],
    "allocated_after_mib": 5249.39,
    "peak_allocated_mib": 7000.0,
    "peak_reserved_mib": 8000.0,
    "context_mib": 500.0,
    "peak_device_mib": 8500.0,
    "planned_peak_device_mib": 8490.0,
    "planned_peak_reserved_mib": 7990.0,
    "taints": ["1 other process on the card"],
    "lowest_sm_clock_mhz": 1200,
    "flops": 10**15,
    "flops_utilization": 0.4,
    "quality_score": 70.5,
    "quality_interval": [60.0, 80.0],
    "quality_parts": {"said": 0.7},
    "held_out_loss": 3.25,
    "not_judged": "weights are random",
}
OF_PLAN = {
    "case": "bench_plan[gemma-2-2b-it-r16]",
    "workload": "plan",
    "planned_workload": "fine_tuning",
    "gpu_profile": "t4",
    "device": "NVIDIA T4",
    "parameters": 2614341888,
    "tokenizer": "estimated",
    "longest_tokens": 81,
    "peak_device_mib": 8490.0,
    "context_mib": 500.0,
    "breakdown_mib": {"base weights": 4986.0},
    "advice": {
        "lora_rank": 16,
        "batch_size": 4,
        "row_tokens": 81,
        "largest_batch": 7,
        "largest_rank": 512,
        "checkpointing_saves_mib": 900.0,
    },
}


def test_every_line_of_the_study_is_read():
    lines = (REFERENCE / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = read_records(REFERENCE).records
    assert len(records) == len(lines) == 28
    for line, record in zip(map(json.loads, lines), records, strict=True):
        assert "schema" not in line
        assert record.case.id == line["case"]
        assert record.measured.seconds == line["seconds"]
        assert record.measured.memory.allocated_after_mib == line["allocated_after_mib"]
        assert record.outcome.kind == line["outcome"]


def test_a_measured_line_keeps_every_figure_under_its_name():
    record = record_of_flat(LINE | ON_GPU)
    assert record.case == Case("gemma-2-2b-it", "fine_tuning", "r16")
    assert record.experiment.variant == {"adapter": {"peft_type": "LORA", "r": 16}, "training": {}}
    assert (record.plan.peak_device_mib, record.peak_device_mib, record.measured.has_diverged) == (8490.0, 8500.0, True)
    assert [str(each) for each in record.taints] == ["1 other process on the card"]
    assert str(record.quality.not_judged) == "weights are random"
    assert [str(each) for each in record.experiment.protocol_changes] == ["epochs 10 instead of 20"]
    said = ("taints", "not_judged")
    kept = {name: value for name, value in ON_GPU.items() if not name.startswith("planned_") and name not in said}
    for name, value in kept.items():
        found = figure(record, name)
        assert (list(found) if isinstance(found, tuple) else found) == value
    assert record_of(json.loads(record.as_line())) == record


def test_a_line_of_a_plan_is_its_plan():
    record = record_of_flat(LINE | OF_PLAN)
    assert record.case == Case("gemma-2-2b-it", "fine_tuning", "r16", is_planned=True)
    assert (record.environment.gpu_profile, record.peak_device_mib, record.plan.longest_tokens) == ("t4", 8490.0, 81)
    assert (record.plan.advice.variant, record.plan.advice.largest_rank) == ("r16", 512)
    assert record.measured.memory.peak_device_mib is None


def test_older_plans_do_not_name_what_they_plan():
    facts = {name: value for name, value in (LINE | OF_PLAN).items() if name not in ("planned_workload", "lora_rank")}
    assert record_of_flat(facts).case == Case("gemma-2-2b-it", "inference", is_planned=True)
    assert record_of_flat(facts | {"lora_rank": 16}).case == Case(
        "gemma-2-2b-it", "fine_tuning", "r16", is_planned=True
    )


def test_a_reason_is_what_it_said():
    record = record_of_flat(LINE | {"outcome": "over_budget", "reason": "peak device memory is too much"})
    assert (record.outcome.kind, str(record.outcome.reason)) == ("over_budget", "peak device memory is too much")
    assert record.outcome.reason.text("ko") == str(record.outcome.reason)


def test_pytest_benchmark_keeps_the_names_of_the_first_version_but_no_list():
    info = extra_info(record_of_flat(LINE | ON_GPU))
    assert set(PATHS) - set(info) == {"seconds", "seconds_each", "losses"}
    assert {name: info[name] for name in ("peak_device_mib", "planned_peak_device_mib", "flops", "device")} == {
        "peak_device_mib": 8500.0,
        "planned_peak_device_mib": 8490.0,
        "flops": 10**15,
        "device": "NVIDIA T4",
    }
    assert json.loads(json.dumps(info, allow_nan=False)) == info


def test_what_does_not_apply_is_null_and_never_left_out():
    info = extra_info(made("x"))
    assert info["peak_device_mib"] is info["planned_peak_device_mib"] is info["flops"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"candidate": None},
        {"workload": None},
        {"outcome": "great"},
        {"outcome": None},
        {"reason": 5},
        {"lora_rank": "sixteen"},
        {"lora_rank": 1.5},
        {"budget_mib": None},
        {"budget_mib": 0},
        {"seconds": "1"},
        {"taints": "all"},
        {"taints": [1]},
        {"protocol_changes": {}},
        {"versions": {"torch": 2}},
        {"planned_peak_device_mib": "much"},
        {"quality_interval": [1.0]},
    ],
)
def test_what_is_no_record_is_refused(changes):
    with pytest.raises(TypeError):
        record_of_flat(LINE | changes)


@pytest.mark.parametrize("facts", [[], [1], "text", 5, None, {}])
def test_what_is_no_object_is_refused(facts):
    with pytest.raises(TypeError):
        record_of_flat(facts)
