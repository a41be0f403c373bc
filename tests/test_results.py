"""Reading a results folder back."""

import json
import math
from dataclasses import replace

import pytest

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.results.folder import read_records
from ohlora_fixtures.results.record import Record, as_line


def line(case, **changes):
    facts = {
        "case": case,
        "candidate": "x",
        "workload": "inference",
        "lora_rank": None,
        "outcome": "passed",
        "reason": None,
        "protocol": {},
        "protocol_hash": "",
        "protocol_changes": [],
        "dataset_sha256": "",
        "budget_mib": 12288.0,
        "versions": {},
    }
    return json.dumps(facts | changes, ensure_ascii=False).encode()


def written(folder, *lines, end=b"\n"):
    (folder / "records.jsonl").write_bytes(b"\n".join(lines) + end)
    return read_records(folder)


def test_records_come_back_in_their_order_and_a_case_that_ran_again_counts_once(tmp_path):
    found = written(tmp_path, line("a", outcome="error"), line("b", reason="이유"), line("a", seconds=2.0))
    assert [record.case for record in found.records] == ["b", "a"]
    assert (found.records[0].reason, found.records[1].outcome, found.records[1].seconds) == ("이유", "passed", 2.0)
    assert found.torn_line is None


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_line_is_set_aside(tmp_path, kept):
    whole = line("b", reason="한글")
    found = written(tmp_path, line("a"), whole[:kept], end=b"")
    assert [record.case for record in found.records] == ["a"]
    assert found.torn_line == whole[:kept]


@pytest.mark.parametrize("garbage", [b"{", b"[1]", b'{"case": "b"}', b"\xff", b"null"])
def test_a_last_line_that_is_no_record_is_set_aside_and_one_before_it_is_not(tmp_path, garbage):
    assert written(tmp_path, line("a"), garbage).torn_line == garbage
    with pytest.raises(InputError, match="has no record in line 2: mend or delete that line"):
        written(tmp_path, line("a"), garbage, line("c"))


def test_fields_of_another_version_do_no_harm(tmp_path):
    (found,) = written(tmp_path, line("a", invented=1)).records
    assert isinstance(found, Record)
    assert found.taints is None


def test_a_figure_that_is_no_number_is_null_and_its_line_is_whole(tmp_path):
    (record,) = written(tmp_path, line("a")).records
    figures = {"held_out_nats_per_character": math.nan, "held_out_loss": math.inf, "losses": [1.5, math.nan]}
    (found,) = written(tmp_path, as_line(replace(record, **figures)), end=b"").records
    assert (found.held_out_nats_per_character, found.held_out_loss, found.losses) == (None, None, [1.5, None])


def test_an_empty_file_has_no_records_and_a_folder_without_one_is_told(tmp_path):
    assert written(tmp_path, end=b"").records == ()
    with pytest.raises(InputError, match=r"has no readable records\.jsonl \(No such file or directory\)"):
        read_records(tmp_path / "none")


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": "1"},
        {"seconds": True},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds_each": [1, "2"]},
        {"seconds_each": [float("nan")]},
        {"seconds_each": [10**400]},
        {"losses": [None, True]},
        {"taints": "all"},
        {"versions": {"torch": 2}},
        {"lora_rank": 1.5},
        {"candidate": None},
        {"budget_mib": None},
        {"budget_mib": 0},
        {"budget_mib": -1.0},
    ],
)
def test_a_field_of_the_wrong_kind_makes_no_record(tmp_path, changes):
    assert written(tmp_path, line("a", losses=[None, 1, 2.5])).torn_line is None
    assert written(tmp_path, line("a", **changes)).torn_line is not None
