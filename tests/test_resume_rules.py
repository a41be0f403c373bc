"""Going on with an interrupted session, the rules: which cases are kept, and which device is the same."""

import contextlib
import dataclasses
import os
from types import SimpleNamespace

import pytest
from made import made, said

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.results.answers import GivenAnswer
from ohlora_fixtures.results.environment import Environment
from ohlora_fixtures.results.folder import StoredResults, read_records
from ohlora_fixtures.session.resume import Resumed, is_kept, is_whole
from ohlora_fixtures.session.session import Session

PROFILES = read_profiles(DATA / "gpus.toml")


def record(candidate="a", **figures):
    return made(candidate, **figures)


@pytest.mark.parametrize(
    ("facts", "kept"),
    [
        ({"outcome": "passed"}, True),
        ({"outcome": "passed", "taints": []}, True),
        ({"outcome": "passed", "taints": ["throttled"]}, True),
        ({"outcome": "failed"}, True),
        ({"outcome": "failed", "taints": ["throttled"]}, False),
        ({"outcome": "error"}, False),
        ({"outcome": "skipped"}, False),
        ({"outcome": "over_budget"}, True),
        ({"outcome": "out_of_memory"}, True),
        ({"outcome": "over_budget", "budget_mib": 12287.0}, False),
        ({"outcome": "out_of_memory", "budget_mib": 12289.0}, False),
        ({"outcome": "passed", "budget_mib": 12289.0}, True),
    ],
)
def test_a_case_runs_again_if_its_end_was_of_passing_nature(facts, kept):
    assert is_kept(record(**facts), 12288.0, is_strict=False) is kept


def test_where_taints_are_refused_a_tainted_case_that_passed_runs_again():
    assert not is_kept(record(taints=["throttled"]), 12288.0, is_strict=True)
    assert is_kept(record(taints=[]), 12288.0, is_strict=True)


@pytest.mark.parametrize(("answers", "kept"), [(2, True), (1, False), (0, False)])
def test_a_case_runs_again_unless_all_its_answers_are_there(answers, kept):
    """What is missing is known by the record: a line of an older version, which does not tell, is taken as it is."""
    case, given = answering_case("a", "r16"), [GivenAnswer("왜?", "응.")]
    whole = dataclasses.replace(record(variant="r16"), answers=2)
    assert is_whole(whole, {case: given * answers} if answers else {}) is kept
    assert is_whole(record(variant="r16"), {})


class KilledError(BaseException):
    """Ends a session as a signal does that it cannot catch."""


@pytest.mark.parametrize("moment", range(8))
def test_killed_at_any_moment_a_case_that_has_its_line_has_its_answers(tmp_path, monkeypatch, moment):
    session = Session(SimpleNamespace(results_dir=tmp_path), None)
    each = dataclasses.replace(record(variant="r16"), answers=1)
    session._unended[each.case] = each
    session._answers[each.case] = [GivenAnswer("왜?", "응.")]
    moments = iter(range(100))

    def fsync(_):
        if next(moments) == moment:
            raise KilledError

    monkeypatch.setattr(os, "fsync", fsync)
    with contextlib.suppress(KilledError):
        session._write(each.case)
    there = StoredResults(tmp_path) if not (tmp_path / "records.jsonl").exists() else read_records(tmp_path)
    assert all(is_whole(one, there.answers(["a"])) for one in there.records)
    assert moment < 4 or there.records


def resumed(tmp_path, *records, may_differ=False):
    kept = frozenset(each.case for each in records)
    return Resumed(tmp_path, records, kept, is_torn=False, differences=(), may_differ=may_differ)


def place(**facts):
    return Environment({}, **facts)


MINI = {"scale": "mini", "weights": "random", "device": "cpu (x86_64, 2 cores)"}
T4 = {"scale": "full", "weights": "hub", "device": "Tesla T4"}


def test_another_device_scale_or_weights_are_refused_once_they_are_known(tmp_path):
    first = resumed(tmp_path, record(**MINI), record("b"), made("plan", is_planned=True, device="L4"))
    assert first.on_device(place(**MINI), PROFILES).differences == ()
    with pytest.raises(InputError) as refusal:
        first.on_device(place(**T4), PROFILES)
    assert str(refusal.value) == (
        f"results folder {tmp_path} cannot be resumed: scale was mini and is full; weights was random and is hub; "
        "device was cpu (x86_64, 2 cores) and is Tesla T4: undo the change, or add --resume-anyway, and the "
        "comparison will say so"
    )


def test_one_card_under_two_names_is_the_same(tmp_path):
    records = [record(**T4 | {"device": "NVIDIA T4"})]
    assert {"NVIDIA T4", "Tesla T4"} <= set(next(each for each in PROFILES if each.name == "t4").card)
    assert resumed(tmp_path, *records).on_device(place(**T4), PROFILES).differences == ()


def test_a_device_that_nobody_can_name_ahead_is_no_difference(tmp_path):
    device = {"scale": "full", "weights": "hub"}
    assert resumed(tmp_path, record(**T4)).on_device(place(**device), PROFILES).differences == ()


def test_what_is_gone_on_with_although_it_differs_is_told(tmp_path):
    first = resumed(tmp_path, record(**T4), record("b", **T4), may_differ=True)
    found = first.on_device(place(**T4 | {"device": "NVIDIA L4"}), PROFILES)
    assert said(found.notes(1)) == (
        "resumed: 1 case of an earlier session",
        "resumed although something differs: device was Tesla T4 and is NVIDIA L4",
    )
