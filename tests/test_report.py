"""The comparison as tables, all of it, and the answers' file."""

import csv
import json
import re

import pytest
from made import made

from ohlora_fixtures.base.installation import DATA, REFERENCE
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, select
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.report.files import Findings, closing, comma_separated
from ohlora_fixtures.report.files import texts as files_of
from ohlora_fixtures.report.layout import Terminal
from ohlora_fixtures.report.stored_run import memory_beside
from ohlora_fixtures.results.answers import GivenAnswer, write_answers
from ohlora_fixtures.results.comparison import compare, read_published

CANDIDATES = read_candidates(DATA / "candidates.toml")
PUBLISHED = read_published(REFERENCE)
VARIANTS = ("r16", "r32", "r64")


USUAL = {
    "scale": "full",
    "weights": "hub",
    "tokenizer": "own",
    "device": "NVIDIA T4",
    "seconds": 60.0,
    "steady_median_seconds": 1.25,
    "peak_device_mib": 9000.0,
}


def record(candidate="gemma-2-2b-it", rank=16, **changes):
    return made(candidate, None if rank is None else f"r{rank}", **USUAL | changes)


def comparison_of(*records):
    return compare(CANDIDATES, VARIANTS, records, PUBLISHED)


def told(comparison, width):
    """All that a session's end has of it, as with `-v`."""
    return closing(comparison, None, Terminal(width, verbosity=1))


def markdown(comparison, language="en"):
    """The comparison's page, without the choice."""
    selection = select(comparison, {}, DEFAULT_WEIGHTS, any_license=False)
    (page,) = (
        text for name, text in files_of(Findings(comparison, selection, {}, None), language) if name.endswith("md")
    )
    return page.partition("## The choice")[0]


def test_the_published_figures_are_28():
    assert len(PUBLISHED) == 28
    assert PUBLISHED[answering_case("gemma-2-2b-it", "r64")].allocated_after_mib == 5968.73


def test_only_what_ran_has_a_row_and_a_column():
    found = comparison_of(record(rank=32), record("llama1B", rank=32))
    assert [row.candidate.name for row in found.rows] == ["gemma-2-2b-it", "llama1B"]
    assert found.variants == ("r32",)
    assert "r16" not in told(found, 100)
    assert "prompt  " not in told(found, 100).partition("\n\n")[0]


def test_figures_stand_beside_the_studys():
    text = told(comparison_of(record(), record(rank=None)), 200)
    row = next(line.split() for line in text.splitlines() if line.startswith("gemma"))
    assert row[:6] == ["gemma-2-2b-it", "fits", "9,000", "9,000", "60.0", "1.25"]
    assert row[-4:] == ["58.7", "4.03", "5,249", "4,987"]
    assert "REHEARSAL" not in text


def test_a_candidate_the_study_did_not_have_has_no_figures_of_it():
    assert "study" not in told(comparison_of(record("Qwen3-0.6B")), 100)


@pytest.mark.parametrize(
    ("records", "verdict", "cell"),
    [
        ([record(peak_device_mib=12288.0)], "fits", "True"),
        (
            [record(), record(rank=32, peak_device_mib=12288.01, outcome="over_budget", reason="too much")],
            "over",
            "False",
        ),
        ([record(), record(rank=32, peak_device_mib=None, outcome="out_of_memory", reason="full")], "over", "False"),
        ([record(), record(rank=32, outcome="failed", reason="diverged")], "failed", "False"),
        ([record(peak_device_mib=None)], "not_judged", ""),
    ],
)
def test_the_budget_is_judged_over_all_cases(records, verdict, cell):
    found = comparison_of(*records)
    assert found.rows[0].fit_as_measured.verdict == verdict
    assert next(csv.DictReader(comma_separated(found).splitlines()))["within_budget"] == cell


@pytest.mark.parametrize(
    ("records", "fits", "each"),
    [
        ([record(peak_device_mib=12288.0)], True, [True]),
        ([record(), record(rank=32, peak_device_mib=12288.01)], False, [True, False]),
        ([record(), record(rank=32, outcome="error", reason="broken", peak_device_mib=None)], False, [True, False]),
        ([record(), record(rank=32, peak_device_mib=None)], None, [True, None]),
        ([record(peak_device_mib=None), record(rank=32, peak_device_mib=99999.0)], False, [None, False]),
    ],
)
def test_selection_json_says_of_each_case_whether_it_fits(records, fits, each):
    found = comparison_of(*records)
    selection = select(found, {}, DEFAULT_WEIGHTS, any_license=False)
    facts = json.loads(dict(files_of(Findings(found, selection, {}, None), "en"))["selection.json"])
    assert (facts["fits"], [case["fits"] for case in facts["cases"]]) == (fits, each)
    first = facts["cases"][0]
    assert (first["case"], first["variant"]) == ("bench_fine_tuning[gemma-2-2b-it-r16]", "r16")
    assert first["limit_mib"] == (12288.0 if each[0] else None)


def test_what_did_not_pass_is_told_once_for_each_reason():
    failed = {"outcome": "error", "reason": "cannot be built", "seconds": None, "peak_device_mib": None}
    text = told(comparison_of(record(**failed), record(rank=32, **failed), record("llama1B")), 300)
    assert text.count("cannot be built") == 1
    assert "error: bench_fine_tuning[gemma-2-2b-it-r16], bench_fine_tuning[gemma-2-2b-it-r32]: cannot be built" in text


def test_an_unverified_candidate_is_marked_wherever_its_figures_stand():
    found = comparison_of(record("HyperCLOVAX-SEED-Text-Instruct-0.5B"), record("Qwen3-0.6B"))
    for text in (told(found, 200), markdown(found)):
        assert "0.57 B?" in text
        assert "0.60 B?" not in text
        assert text.count("HyperCLOVAX-SEED-Text-Instruct-0.5B is unverified: its architecture") == 1
    cells = [row["unverified"] for row in csv.DictReader(comma_separated(found).splitlines())]
    assert cells == ["its architecture, and so its size, is from memory", ""]


def test_a_plan_without_the_kernels_that_a_card_may_run_says_so():
    figures = {"is_planned": True, "device": "NVIDIA T4", "tokenizer": "own", "peak_device_mib": 900.0}
    packages = ("causal-conv1d", "flash-linear-attention")
    plans = [made(name, "r16", without_kernels=packages, **figures) for name in ("Qwen3.5-0.8B", "Qwen3.5-2B")]
    text = told(comparison_of(*plans, made("Qwen3-0.6B", "r16", without_kernels=(), **figures)), 300)
    assert "without the kernels of causal-conv1d and flash-linear-attention, with which" in text
    assert "memory is another: Qwen3.5-0.8B, Qwen3.5-2B\n" in text


def test_random_weights_at_full_size_are_told():
    text = told(comparison_of(record(weights="random")), 200)
    assert "time and memory are real, answers are not" in text


def test_without_a_steady_state_the_median_of_all_prompts_stands():
    text = told(comparison_of(record(rank=None, steady_median_seconds=None, seconds_each=[7.5])), 200)
    assert " 7.50" in text


def test_a_loss_that_is_no_number_is_null():
    assert record(losses=[1.5, float("nan"), float("inf")]).as_dict()["measured"]["losses"] == [1.5, None, None]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_tables_fit_the_terminal(width):
    ranks = [record(rank=rank, seconds=123.45) for rank in (16, 32, 64, None)]
    assert max(map(len, told(comparison_of(*ranks), width).splitlines())) <= width


def test_markdown_keeps_its_table_whole():
    text = markdown(comparison_of(record(outcome="failed", reason="a | b"), record("llama1B")))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert len(rows) == 4


def test_csv_has_plain_numbers_and_empty_cells():
    (row,) = csv.DictReader(comma_separated(comparison_of(record("Qwen3-0.6B"))).splitlines())
    assert (row["fine_tuning_r16_seconds"], row["fine_tuning_r16_peak_device_mib"]) == ("60.0", "9000.0")
    assert row["leaderboard_average"] == row["study_fine_tuning_r16_seconds"] == ""
    assert row["within_budget"] == "True"


STORED = {
    "device": "NVIDIA T4",
    "scale": "full",
    "weights": "hub",
    "protocol_hash": "0123456789ab",
    "dataset_sha256": "",
}
APART = "neither memory nor times compared: the stored run was"


@pytest.mark.parametrize(
    ("stored", "line"),
    [
        ({"peak_device_mib": 8000.0, "peak_reserved_mib": 1.0}, "peak_device_mib 9000.00, stored 8000.00 (+12.5%)"),
        ({"peak_reserved_mib": 8000.0}, "no memory figure in both runs"),
        ({"peak_device_mib": 0.0}, "peak_device_mib 9000.00, stored 0.00 (no ratio to zero)"),
        (
            {"protocol_hash": "ba9876543210"},
            f"{APART} made under protocol ba9876543210, this one under protocol 0123456789ab",
        ),
        (
            {"scale": "mini", "peak_device_mib": 1.0},
            f"{APART} made at scale mini, this one at scale full",
        ),
    ],
)
def test_memory_stands_beside_a_stored_runs(stored, line):
    run = {
        "benchmarks": [{"name": record().case.id, "extra_info": STORED | stored}, {"name": "another"}],
        "datetime": "D",
    }
    assert memory_beside([record(), record(rank=32)], run) == (
        f"memory beside the run of D:\nbench_fine_tuning[gemma-2-2b-it-r16]: {line}"
    )


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        *((each, f"'{each}") for each in ("=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1", ' "=1', '=HYPERLINK("http://x")')),
        ("\t=1", "'\t'=1"),
        ("\n=1", "'\n'=1"),
    ],
)
def test_a_spreadsheet_will_not_run_an_answer(tmp_path, answer, shown):
    write_answers(tmp_path / "answers" / "x.csv", {answering_case("x", None): [GivenAnswer("안녕, 너", answer)]})
    with (tmp_path / "answers" / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [(row["prompt"], row["answer"]) for row in csv.DictReader(file)] == [("안녕, 너", shown)]


def test_answers_keep_emoji_and_lose_control_characters(tmp_path):
    write_answers(
        tmp_path / "x.csv", {answering_case("x", "r16"): [GivenAnswer("안녕", "\x00하나\r\x1b[2J둘\n셋 👩\u200d🚀")]}
    )
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["variant"], row["answer"]) == ("r16", "하나[2J둘\n셋 👩\u200d🚀")


def measured_on_a_card(**changes):
    plan = {"planned_peak_reserved_mib": 8160.0, "planned_peak_allocated_mib": 7035.0}
    reached = {"flops": 10**15, "tflops_per_second": 49.47, "flops_utilization": 0.05, "matrix_peak_tflops": 989.4}
    reached |= {"highest_temperature_c": 71, "lowest_sm_clock_mhz": 1350}
    memory = {"peak_reserved_mib": 8000.0, "peak_allocated_mib": 7000.0, "context_mib": 500.0, "taints": []}
    return record(**memory | plan | reached | changes)


def test_a_plan_stands_beside_what_was_measured():
    exact = {"planned_peak_reserved_mib": 8000.0, "planned_peak_allocated_mib": 7000.0}
    found = comparison_of(measured_on_a_card(), measured_on_a_card(rank=32, **exact))
    assert "plan against measurement, cases: 2; peak reserved off by at most 2.00%, 1.00% in the mean" in told(
        found, 300
    )
    page = markdown(found)
    assert "| r16 | - | 7,000 | 8,000 | 500 | 9,000 | 8,160 | +2.00% | 7,035 | +0.50% | fits |" in page
    assert "| r16 | passed | 49.5 | 5% | 71 | 1,350 |" in page


def test_a_case_that_did_not_end_is_set_beside_no_plan():
    broken = measured_on_a_card(outcome="out_of_memory", reason="full", seconds=None)
    assert "plan against measurement" not in told(comparison_of(broken), 300)


def test_a_capped_card_is_called_so_and_a_tainted_figure_is_marked():
    taint = "1 other process on the card"
    text = told(comparison_of(measured_on_a_card(cap_mib=11788.0, taints=[taint], native_bf16=False)), 300)
    row = next(line.split() for line in text.splitlines() if line.startswith("gemma"))
    assert "9,000*" in row
    assert "measured on NVIDIA T4 (capped)" in text
    assert "limited to 11788 MiB, the budget less the CUDA context" in text
    assert f"tainted (*): {taint}: bench_fine_tuning[gemma-2-2b-it-r16]" in text
    assert "this card has no bf16 of its own" in text
    assert "emulated" not in text


def test_settings_that_memory_depends_on_are_told():
    settings = {"cublas_workspace_config": ":8320:1", "attention_backends": ["math"]}
    text = told(comparison_of(record(**settings, allocator_settings="expandable_segments:True")), 300)
    assert "cuBLAS workspace :8320:1; attention backends on: math" in text
    assert "allocator settings expandable_segments:True: reserved memory depends on them" in text


def test_the_tables_headings_are_korean_where_the_page_is():
    records = [record(rank=None, device="A"), record(device="B"), record("llama1B", rank=None)]
    found = compare(CANDIDATES, ["r16"], records, PUBLISHED)
    english, korean = (markdown(found, language).splitlines()[2] for language in ("en", "ko"))
    for head in re.findall(r"\| ([a-z][a-z ]*)(?= \|)", english):
        assert head not in korean
    assert {*re.findall("[A-Za-z]+[0-9]*", korean)} == {"Ko", "LLM", "r16", "MiB"}
