"""What this machine has measured on a card tells the pace of plans for it."""

from dataclasses import replace

import pytest
from made import changed, made

from ohlora_fixtures.base.installation import DATA, versions
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.planner.plan import Plan
from ohlora_fixtures.planner.seconds import Work, seconds_of
from ohlora_fixtures.results.calibration import pace_of

PROFILE = next(each for each in read_profiles(DATA / "gpus.toml") if each.name == "rtx3060-12gb")
WORK = Work(flops=10**14, moved_bytes=10**12, operators=300_000, made_bytes=10**12)


def measured(name="a", **figures):
    """A case that took three times as long as the card's peaks make one think."""
    usual = {"scale": "full", "device": PROFILE.card[0], "versions": dict(versions())}
    record = made(name, "r16", **usual | {"seconds": 3 * seconds_of(WORK, PROFILE.pace).seconds} | figures)
    return replace(record, plan=Plan(work=WORK))


def keep(results, name, *records):
    folder = results / name
    folder.mkdir(parents=True)
    (folder / "records.jsonl").write_bytes(b"".join(record.as_line() for record in records))


def test_plans_go_at_the_pace_that_was_measured(tmp_path):
    keep(tmp_path, "20260101T000000Z-aaaaaa", measured())
    found = pace_of(PROFILE, tmp_path)
    assert (found.basis, PROFILE.pace.basis) == ("calibrated", "rough")
    assert seconds_of(WORK, found).seconds == pytest.approx(measured().seconds, rel=0.02)


@pytest.mark.parametrize(
    "figures",
    [
        {"device": "Tesla T4"},
        {"versions": {**versions(), "torch": "2.6.0"}},
        {"scale": "mini"},
        {"taints": ["another process"]},
        {"outcome": "out_of_memory"},
        {"seconds": None},
    ],
)
def test_what_ran_on_another_card_with_other_libraries_or_in_doubt_does_not_count(figures, tmp_path):
    keep(tmp_path, "20260101T000000Z-aaaaaa", replace(changed(measured(), **figures), plan=Plan(work=WORK)))
    assert pace_of(PROFILE, tmp_path) == PROFILE.pace


def test_a_plan_alone_a_folder_that_cannot_be_read_and_none_at_all_change_nothing(tmp_path):
    assert pace_of(PROFILE, tmp_path / "none") == PROFILE.pace
    keep(tmp_path, "20260101T000000Z-aaaaaa", made("a", "r16", is_planned=True, device=PROFILE.card[0], seconds=1.0))
    (tmp_path / "20260101T000000Z-bbbbbb").mkdir()
    (tmp_path / "20260101T000000Z-bbbbbb" / "records.jsonl").write_text("no record\n{}\n", encoding="utf-8")
    assert pace_of(PROFILE, tmp_path) == PROFILE.pace
    assert pace_of(replace(PROFILE, matrix_tflops=None), tmp_path) is None
