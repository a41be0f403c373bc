"""The choice's hard conditions: each exclusion is named, with its reason."""

from dataclasses import replace

import pytest
from choices import BOUND, VARIANTS, candidate, chosen, exclusions, fine_tuning, inference, judged, name_of, plan

from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, Choosing
from ohlora_fixtures.report import table
from ohlora_fixtures.report.layout import Terminal
from ohlora_fixtures.results.comparison import compare

FREE = candidate("free")
TOO_MUCH = "device memory of 12288.01 MiB is 0.01 MiB (0.0%) above the VRAM budget of 12288.00 MiB"


def test_a_licence_that_binds_excludes_a_candidate_unless_any_will_do():
    records = [fine_tuning("free"), fine_tuning("bound"), fine_tuning("bound", "r32")]
    found = chosen([FREE, BOUND], records)
    assert (name_of(found.choice), exclusions(found)) == (
        ("free", "r16"),
        [("bound", None, "licence: Gemma Terms of Use")],
    )
    found = chosen([FREE, BOUND], records, any_license=True)
    assert (name_of(found.choice), name_of(found.reserve), found.excluded) == (("bound", "r16"), ("free", "r16"), ())


def test_what_is_excluded_keeps_its_grade_in_the_table():
    records = [fine_tuning("free"), fine_tuning("bound")]
    found = chosen([FREE, BOUND], records, {"free": judged(50.0), "bound": judged(90.0)})
    (besides, *_) = found.judged_besides
    assert (besides.candidate, besides.quality.grade, besides.total) == (BOUND, "최상", None)
    lines = table.terminal(compare([FREE, BOUND], VARIANTS, records, {}), found, Terminal(120, 0)).splitlines()
    assert [line.split()[2] for line in lines if line.startswith(("free ", "bound "))] == ["중", "최상"]
    other = chosen([FREE, BOUND], records, {"free": judged(50.0), "bound": judged(90.0, "person")})
    assert other.judged_besides == ()


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([fine_tuning("x", peak_device_mib=12288.0)], None),
        ([fine_tuning("x", peak_device_mib=12288.01)], TOO_MUCH),
        ([fine_tuning("x", outcome="over_budget", reason="too much")], "over budget: too much"),
        (
            [fine_tuning("x", outcome="out_of_memory", reason="full", peak_device_mib=None)],
            "out of memory: full",
        ),
        ([fine_tuning("x", outcome="failed", reason="diverged")], "failed: diverged"),
        ([fine_tuning("x", outcome="error", reason="crashed"), inference("x")], "error: crashed"),
        # a plan counts where nothing was measured
        ([plan(fine_tuning("x", peak_device_mib=12288.0))], None),
        ([plan(fine_tuning("x", peak_device_mib=12288.01))], f"planned: {TOO_MUCH}"),
        (
            [plan(fine_tuning("x", outcome="over_budget", reason="too much"))],
            "planned: over budget: too much",
        ),
        ([plan(fine_tuning("x", outcome="error", reason="none")), inference("x")], "planned: error: none"),
        (
            [fine_tuning("x", peak_device_mib=None), plan(fine_tuning("x", peak_device_mib=12288.01))],
            f"planned: {TOO_MUCH}",
        ),
        # what was measured goes before what was planned
        ([fine_tuning("x"), plan(fine_tuning("x", outcome="over_budget", reason="too much"))], None),
        ([fine_tuning("x", peak_device_mib=None), plan(fine_tuning("x", outcome="error", reason="none"))], None),
        ([fine_tuning("x", outcome="failed", reason="diverged"), plan(fine_tuning("x"))], "failed: diverged"),
    ],
)
def test_what_does_not_fit_or_did_not_run_is_excluded_at_its_rank(records, reason):
    found = chosen([], [*records, fine_tuning("y")])
    assert exclusions(found) == ([] if reason is None else [("x", "r16", reason)])
    assert ("x" in [option.candidate.name for option in found.ranking]) is (reason is None)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (inference("x", peak_device_mib=12288.01), f"inference: {TOO_MUCH}"),
        (
            inference("x", outcome="out_of_memory", reason="full", peak_device_mib=None),
            "inference: out of memory: full",
        ),
        (inference("x", outcome="error", reason="crashed"), "inference: error: crashed"),
        (plan(inference("x", peak_device_mib=12288.01)), f"inference: planned: {TOO_MUCH}"),
        (inference("x", peak_device_mib=12288.0), None),
    ],
)
def test_what_cannot_answer_within_the_budget_is_excluded_at_every_rank(record, reason):
    found = chosen([], [fine_tuning("x"), fine_tuning("x", "r32"), record, fine_tuning("y")])
    assert exclusions(found) == ([] if reason is None else [("x", None, reason)])


def test_a_rank_that_is_too_large_leaves_the_others():
    found = chosen([], [fine_tuning("x", "r16"), fine_tuning("x", "r64", peak_device_mib=12288.01)])
    assert (exclusions(found), name_of(found.choice)) == ([("x", "r64", TOO_MUCH)], ("x", "r16"))


def test_what_cannot_be_built_is_excluded_once():
    broken = {"outcome": "error", "reason": "not a multiple"}
    records = [record("x", **broken) for record in (inference, fine_tuning)] + [fine_tuning("x", "r32", **broken)]
    found = chosen([], [*records, *map(plan, records)])
    assert (found.choice, exclusions(found)) == (None, [("x", None, "error: not a multiple")])


def test_what_ran_without_fine_tuning_at_full_size_is_excluded_for_that():
    records = [inference("x"), fine_tuning("mini", scale="mini"), inference("mini", scale="mini")]
    records += [fine_tuning("skipped", outcome="skipped", reason="no GPU")]
    reason = "its fine-tuning was neither measured nor planned at full size"
    assert exclusions(chosen([], records)) == [(name, None, reason) for name in ("mini", "skipped", "x")]


def test_what_was_skipped_is_as_its_plan_says():
    skipped = fine_tuning("x", outcome="skipped", reason="no GPU", peak_device_mib=None)
    found = chosen([], [skipped, plan(fine_tuning("x", peak_device_mib=5000.0)), plan(fine_tuning("y"))])
    assert (exclusions(found), found.choice.figures["fine_tuning_memory"]) == ([], 5000.0)


def test_a_rehearsal_never_gives_a_figure_nor_takes_one():
    mini = {"scale": "mini", "weights": "random", "peak_device_mib": None, "seconds": 0.1}
    mini |= {"taints": ["throttled"], "is_overfitted": True, "not_judged": "weights are random"}
    rehearsed = [fine_tuning("x", **mini), inference("x", **mini), fine_tuning("y", **mini | {"outcome": "error"})]
    plans = [plan(record(name)) for name in "xy" for record in (fine_tuning, inference)]
    assert chosen([], [*rehearsed, *plans]) == chosen([], plans)


def test_a_rehearsals_quality_is_no_quality(tmp_path):
    for changes, is_judged in (({}, True), ({"scale": "mini"}, False), ({"weights": "random"}, False)):
        records = [plan(fine_tuning("x")), fine_tuning("x", quality_score=70.0, quality_grade="최상", **changes)]
        found = Choosing(DEFAULT_WEIGHTS, any_license=False).choose(
            compare([candidate("x")], VARIANTS, records, {}), {}, tmp_path
        )
        assert (found.choice and found.choice.quality) == (
            replace(judged(70.0), is_matched=False) if is_judged else None
        )


def test_a_grade_is_the_scores_whatever_a_record_says(tmp_path):
    record = fine_tuning("x", quality_score=170.0, quality_grade="great")
    found = Choosing(DEFAULT_WEIGHTS, any_license=False).choose(
        compare([candidate("x")], VARIANTS, [record], {}), {}, tmp_path
    )
    assert (found.choice.quality.grade, found.choice.scores["quality"]) == ("최상", 1)
