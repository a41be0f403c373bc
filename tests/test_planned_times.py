"""Planned seconds where people see them: the table, what stands below it, the files, and the choice."""

import csv
import io

import pytest
from choices import VARIANTS, candidate, fine_tuning
from made import made

from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, select
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.quality.grading import Quality
from ohlora_fixtures.report.digits import duration, roughly
from ohlora_fixtures.report.files import closing, comma_separated
from ohlora_fixtures.report.layout import Terminal
from ohlora_fixtures.results.comparison import compare

A, B = candidate("a"), candidate("b")
ROWS = {"protocol": {"fine_tuning_rows": "0:20", "epochs": 10}, "dataset_rows": 3000}


def planned(name="a", variant="r16", seconds=58.2, basis="rough", **figures):
    usual = {"scale": "full", "device": "NVIDIA T4", "peak_device_mib": 8000.0, "needs_device_mib": 8000.0}
    ends = {"seconds": seconds, "seconds_low": seconds / 2, "seconds_high": seconds * 2, "seconds_basis": basis}
    return made(name, variant, is_planned=True, **usual | ends | figures)


def told(*records, candidates=(A, B)):
    found = compare(candidates, VARIANTS, records, {})
    return " ".join(closing(found, None, Terminal(200, 0)).split()), found


def test_a_plans_seconds_are_marked_and_their_basis_is_said():
    text, found = told(planned())
    assert " ~58 " in text
    assert "planned seconds are rough, from the card's peaks: right to a factor of 2.0; ~: planned" in text
    (line,) = csv.DictReader(io.StringIO(comma_separated(found)))
    assert [line[f"plan_fine_tuning_r16_{name}"] for name in ("seconds", "seconds_low", "seconds_basis")] == [
        "58.2",
        "29.1",
        "rough",
    ]


def test_what_was_measured_goes_before_its_plan():
    text, _ = told(fine_tuning("a", seconds=61.0), planned(), planned("b", basis="calibrated"))
    assert " 61.0 " in text
    assert " ~58 " in text
    assert "this machine's own measurements" in text


def test_a_replicas_seconds_give_way_to_the_plans():
    text, _ = told(fine_tuning("a", seconds=0.5, scale="mini", peak_device_mib=None), planned())
    assert " ~58 " in text
    assert " 0.500 " not in text


def test_a_plan_without_seconds_has_no_column_of_them():
    text, _ = told(planned(seconds=0.0, seconds_low=None, seconds_high=None))
    assert "~" not in text


def test_all_of_the_users_rows_take_as_many_times_as_long():
    text, _ = told(planned(**ROWS), planned("b", seconds=6.0, **ROWS))
    assert "fine-tuning on all 3,000 rows, 10 epochs: b r16 about 15 min; a r16 about 2 h 25 min" in text
    assert "fine-tuning on all" not in told(planned())[0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (41, "41 s"),
        (59.9, "60 s"),
        (60, "1 min"),
        (3569, "59 min"),
        (3571, "1 h"),
        (7860, "2 h 10 min"),
        (86400, "24 h"),
    ],
)
def test_hours_are_told_as_people_say_them(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "digits"),
    [(0.0456, "0.05"), (0.754, "0.75"), (2.06, "2.1"), (9.96, "10"), (58.2, "58"), (1234, "1,200")],
)
def test_a_planned_time_has_two_digits(seconds, digits):
    assert roughly(seconds) == digits


def chosen(*records):
    qualities = {
        answering_case(name, "r16"): [Quality(80.0, None, "상", "person", is_tuned=True)] for name in ("a", "b")
    }
    found = compare((A, B), VARIANTS, records, {})
    return select(found, qualities, DEFAULT_WEIGHTS, any_license=False)


def test_planned_times_decide_where_none_was_measured():
    found = chosen(planned(), planned("b", seconds=30.0))
    assert found.choice.candidate == B
    assert found.bases["fine_tuning_seconds"] == "planned seconds"
    assert found.choice.figures["fine_tuning_seconds"] == 30.0
    assert "times are planned, roughly, from the card's peaks" in map(str, found.cautions)


def test_measured_times_go_before_planned_ones():
    records = fine_tuning("a", seconds=20.0), fine_tuning("b", seconds=40.0), planned(), planned("b", seconds=30.0)
    found = chosen(*records)
    assert (found.choice.candidate, found.bases["fine_tuning_seconds"]) == (A, "seconds")
    one = chosen(records[0], *records[2:])  # of b nothing was measured: all are compared as planned
    assert (one.bases["fine_tuning_seconds"], one.choice.candidate) == ("planned seconds", B)


def test_seconds_of_a_cpu_do_not_count_beside_planned_ones():
    on_a_cpu = [
        fine_tuning(name, seconds=s, device="cpu (x86_64)", peak_device_mib=None) for name, s in (("a", 5), ("b", 9))
    ]
    assert chosen(*on_a_cpu, planned(), planned("b", seconds=30.0)).choice.candidate == B
