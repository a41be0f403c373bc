"""Plans against what others measured on real GPUs (docs/planning.md)."""

import re

import pytest
from made import made

from ohlora_fixtures.base.installation import REFERENCE
from ohlora_fixtures.validation.__main__ import main
from ohlora_fixtures.validation.compared import Compared
from ohlora_fixtures.validation.peft_metamathqa import USUAL_TOKENS, planned, published

MOST_OFF_PERCENT_PEAK, MOST_OFF_PERCENT_MEAN = 0.25, 0.2
PUBLISHED_TOKENS, STEPS, ROWS = 4_198_051, 5000, 4
"""Of a whole run of peft's; one token more than there is counts for each row."""


RUNS = (
    "lora/llama-3.2-3B-rank32",
    "lora/llama-3.2-3B-rank32-dora",
    "lora/llama-3.2-3B-rank32-lorafa",
    "lora/llama-3.2-3B-rank64",
    "lora/llama-3.2-3B-rank64-rslora",
    "ln_tuning/llama-3.2-3B-default",
    "full-finetuning/llama-3.2-3B-lr_0.00001",
    "boft/llama-3.2-3B-default",
    "oft/llama-3.2-3B-rank32",
    "vera/llama-3.2-3B-default",
)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_peft_runs_on_an_l40s_are_planned_as_they_were_measured(run):
    measured = next(each for each in published() if each.run == run and each.torch.startswith("2.13"))
    plan = planned(run)
    peak = Compared(run, "", plan.max_reserved_bytes, measured.max_reserved_bytes)
    assert abs(peak.off_percent) <= MOST_OFF_PERCENT_PEAK
    mean = Compared(run, "", plan.allocated_after_step_average_bytes, measured.allocated_after_step_average_bytes)
    assert abs(mean.off_percent) <= MOST_OFF_PERCENT_MEAN
    assert plan.trainable_parameters == measured.trainable_parameters


def test_the_mean_length_follows_from_the_published_tokens():
    row_tokens = PUBLISHED_TOKENS / STEPS / ROWS - 1
    # rows of a batch are neighbours: evenly spread over 200 to 400 tokens, 80 rows, they add 1.5 gaps each
    least, most = (row_tokens + 1.5 * spread / 79 for spread in (200, 400))
    assert least < sum(USUAL_TOKENS) / len(USUAL_TOKENS) < most


def folder_of(path, *records):
    path.mkdir()
    (path / "records.jsonl").write_bytes(b"".join(record.as_line() for record in records))
    return str(path)


def test_a_results_folder_is_held_against_its_own_plans(tmp_path, capsys):
    measured = made(
        "a", "r16", peak_reserved_mib=1000.0, planned_peak_reserved_mib=1004.0, peak_allocated_mib=900.0,
        planned_peak_allocated_mib=900.0,
    )  # fmt: skip
    on_the_cpu = made("b", "r16", peak_rss_growth_mib=700.0)
    assert main([folder_of(tmp_path / "mine", measured, on_the_cpu, made("a", "r16", is_planned=True))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r"\s{2,}", lines[2].strip()) == [
        "1,004", "1,000", "+0.400", "peak reserved: bench_fine_tuning[a-r16]"
    ]  # fmt: skip
    assert lines[-1].strip() == "largest error: peak reserved 0.400 %, peak allocated 0.000 %"
    assert len(lines) == 5


def test_figures_taken_after_the_runs_are_not_peaks(capsys):
    assert main([str(REFERENCE)]) == 0
    assert capsys.readouterr().out == "study-2025-04: no measured case has a peak and a plan\n"


def test_a_folder_without_records_is_said(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, "no readable records.jsonl" in err) == ("", True)
