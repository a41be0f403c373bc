"""Memory held against a stored run: where a limit is reached, what is compared, what is told."""

import pytest
from made import made
from test_messages import english_in

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.report import stored_run as report
from ohlora_fixtures.results.memory_growth import Growth, has_failed, held_against, parse_limits

CASE = "bench_fine_tuning[gemma-2-2b-it-r16]"
SAME = {"device": "NVIDIA T4", "scale": "full", "weights": "hub", "protocol_hash": "0123456789ab", "dataset_sha256": ""}
RSS = {"peak_rss_growth_mib": 2.0}


def record(candidate="gemma-2-2b-it", **figures):
    return made(candidate, "r16", **SAME | {"peak_device_mib": 8400.0} | figures)


def run_with(**cases):
    benchmarks = [{"name": name, "extra_info": SAME | extra_info} for name, extra_info in cases.items()]
    return {"datetime": "2026-01-01", "benchmarks": benchmarks}


def verdict_on(records, stored_run, limits="peak:5%", selected=()):
    return held_against(parse_limits(limits), records, stored_run, selected)


@pytest.mark.parametrize(
    ("limit", "stored_mib", "now_mib", "allowed"),
    [
        ("peak:5%", 8000.0, 8400.0, True),
        ("peak:5%", 8000.0, 8400.01, False),
        ("peak:5%", 1000.1, 1050.105, True),  # in floating point the growth comes out above 5%
        ("peak:5%", 1000.1, 1050.106, False),
        ("peak:0.5%", 8000.0, 8040.0, True),
        ("peak:0%", 8000.0, 8000.0, True),
        ("peak:0%", 8000.0, 8000.01, False),
        ("peak:200MiB", 8000.0, 8200.0, True),
        ("peak:200MiB", 8000.0, 8200.01, False),
        ("peak:0.1MiB", 0.2, 0.3, True),
        ("peak:0.5GB", 8000.0, 8512.0, True),
        ("peak:0.5GB", 8000.0, 8512.01, False),
        ("peak:1GiB", 0.0, 1024.0, True),
        ("peak:5%", 0.0, 0.0, True),
        ("peak:5%", 0.0, 0.01, False),
        ("peak:5%", 8000.0, 1.0, True),
        ("peak:0%", -1.0, -1.5, True),
    ],
)
def test_growth_up_to_and_including_the_limit_passes(limit, stored_mib, now_mib, allowed):
    (parsed,) = parse_limits(limit)
    assert parsed.allows(Growth(CASE, "peak_device_mib", stored_mib, now_mib)) is allowed


def test_several_limits():
    assert [(limit.text, limit.quantity) for limit in parse_limits("peak:5%, reserved:0.5 GB ,allocated: 7 %")] == [
        ("peak:5%", "peak"),
        ("reserved:0.5 GB", "reserved"),
        ("allocated: 7 %", "allocated"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "peak",
        "peak:",
        "peak:5",
        "5%",
        "rss:5%",
        "Peak:5%",
        "peak:-5%",
        "peak:nan%",
        "peak:0MiB",
        "peak:5%,",
        "5%:peak",
    ],
)
def test_any_other_limit_is_refused_with_what_is_accepted(text):
    with pytest.raises(InputError, match=r"such as peak:5% or reserved:200MiB$"):
        parse_limits(text)


def test_a_run_fails_for_what_grew_beyond_its_limit_alone():
    at_the_limit = verdict_on([record()], run_with(**{CASE: {"peak_device_mib": 8000.0}}))
    assert (at_the_limit.compared, at_the_limit.exceeded, has_failed([at_the_limit])) == ((CASE,), (), False)
    beyond = verdict_on([record()], run_with(**{CASE: {"peak_device_mib": 7999.0}}))
    (exceeded,) = beyond.exceeded
    assert exceeded.growth == Growth(CASE, "peak_device_mib", 7999.0, 8400.0)
    assert has_failed([beyond])


@pytest.mark.parametrize(
    ("limits", "now", "then", "quantity"),
    [
        ("peak:5%", {"peak_device_mib": None} | RSS, {"peak_rss_growth_mib": 1.0}, "peak_rss_growth_mib"),
        ("peak:5%", RSS, {"peak_device_mib": 1.0, "peak_rss_growth_mib": 1.0}, "peak_device_mib"),
        ("device:5%", {}, {"peak_device_mib": 1.0}, "peak_device_mib"),
        ("reserved:5%", {"peak_reserved_mib": 2.0}, {"peak_reserved_mib": 1.0}, "peak_reserved_mib"),
        ("allocated:5%", {"peak_allocated_mib": 2.0}, {"peak_allocated_mib": 1.0}, "peak_allocated_mib"),
    ],
)
def test_the_quantity_that_is_limited(limits, now, then, quantity):
    (exceeded,) = verdict_on([record(**now)], run_with(**{CASE: then}), limits).exceeded
    assert exceeded.growth.quantity == quantity


@pytest.mark.parametrize(
    ("now", "then", "reason"),
    [
        ({"device": "NVIDIA L4"}, {}, "the stored run was made on NVIDIA T4, this one on NVIDIA L4"),
        ({}, {"scale": "mini"}, "the stored run was made at scale mini, this one at scale full"),
        ({}, {"weights": "random"}, "the stored run was made with weights random, this one with weights hub"),
        (
            {},
            {"protocol_hash": "ba9876543210"},
            "the stored run was made under protocol ba9876543210, this one under protocol 0123456789ab",
        ),
        ({}, {"device": None}, "the stored run does not say its device"),
        ({"scale": None, "outcome": "skipped"}, {}, "it ended before its scale was known (skipped)"),
        ({"peak_device_mib": None, "outcome": "out_of_memory"}, {}, "this run has no peak_device_mib (out of memory)"),
        (RSS, {"peak_device_mib": None} | RSS, "the stored run has no peak_device_mib"),
        (
            {"peak_device_mib": None},
            {"peak_device_mib": None},
            "neither run has peak_device_mib or peak_rss_growth_mib",
        ),
    ],
)
def test_what_cannot_be_compared_is_named_and_alone_it_fails_the_run(now, then, reason):
    verdict = verdict_on([record(**now)], run_with(**{CASE: {"peak_device_mib": 1.0} | then}))
    assert [(each.case, str(each.reason)) for each in verdict.not_compared] == [(CASE, reason)]
    assert (verdict.compared, verdict.exceeded, has_failed([verdict])) == ((), (), True)


def test_new_and_missing_cases_are_named_and_fail_nothing():
    stored_run = run_with(**{CASE: {"peak_device_mib": 8400.0}, "missing": {}, "deselected": {}})
    records = [record(), record("new"), made("plan", is_planned=True)]
    verdict = verdict_on(records, stored_run, selected=[CASE, "missing"])
    assert not has_failed([verdict])
    text = report.terminal(parse_limits("peak:5%"), [verdict], 200)
    assert text == (
        "memory limits peak:5% over the run of 2026-01-01: 1 case compared, 0 beyond a limit, 2 not compared\n\n"
        "not compared, it was selected and did not end in this run: missing\n"
        "not compared, the stored run has no such case: bench_fine_tuning[new-r16]\n"
        "not selected in this run: 1 case of the stored run\n\n"
        "No memory that could be compared has grown beyond its limit."
    )


def test_without_a_stored_run_nothing_passes_silently():
    assert has_failed([])
    assert "so the run fails: no stored run was found" in report.terminal(parse_limits("peak:5%"), [], 200)


def test_each_limit_is_held_on_its_own():
    now = {"peak_device_mib": 100.0, "peak_reserved_mib": 100.0}
    then = {CASE: {"peak_device_mib": 100.0, "peak_reserved_mib": 50.0}}
    verdict = verdict_on([record(**now)], run_with(**then), "peak:5%,reserved:49MiB,allocated:5%")
    assert [each.limit.text for each in verdict.exceeded] == ["reserved:49MiB"]
    assert [str(each.reason) for each in verdict.not_compared] == ["neither run has peak_allocated_mib"]


def test_the_table_tells_case_quantity_figures_change_and_limit():
    verdict = verdict_on([record()], run_with(**{CASE: {"peak_device_mib": 8000.0}}), "peak:100MiB")
    table = report.terminal(parse_limits("peak:100MiB"), [verdict], 200).split("\n\n")[1]
    heads, second_heads, _, row, second_row = (line.split() for line in table.splitlines())
    assert [heads, second_heads, row, second_row] == [
        ["case", "stored", "MiB", "change", "limit"],
        ["quantity", "now", "MiB"],
        [CASE, "8000.00", "+400.00", "peak:100MiB"],
        ["peak_device_mib", "8400.00", "+5.0%"],
    ]
    page = report.markdown(parse_limits("peak:100MiB"), [verdict], "en")
    assert f"| {CASE}<br>peak_device_mib | 8000.00<br>8400.00 | +400.00<br>+5.0% | peak:100MiB |" in page
    assert page.endswith("**Memory has grown beyond its limit, so the run fails.**\n")


def test_the_section_is_korean_in_a_korean_page():
    over = verdict_on([record()], run_with(**{CASE: {"peak_device_mib": 8000.0}, "b": {}}), "peak:100MiB", ["b"])
    page = report.markdown(parse_limits("peak:100MiB"), [over], "ko")
    assert english_in(page, CASE, "peak:100MiB", "peak_device_mib", " b", "br") == set()
    assert "| 케이스 항목 |" in page
    assert page.endswith("**메모리가 한도보다 늘어 이 실행은 실패합니다.**\n")
