"""Reading a results folder back."""

import json
import math

import pytest
from made import changed, made

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.results.folder import read_records
from ohlora_fixtures.results.record import SCHEMA, Record, record_of


def line(candidate="x", **figures):
    """A line of `records.jsonl`."""
    return made(candidate, **figures).as_line().rstrip(b"\n")


def with_facts(path, value):
    """A line in which one fact, by its path, is another: what no version of ours writes."""
    facts = made("a", losses=(None, 1.0, 2.5)).as_dict()
    *groups, last = path.split(".")
    place = facts
    for group in groups:
        place = place[group]
    place[last] = value
    return json.dumps(facts).encode()


def written(folder, *lines, end=b"\n"):
    (folder / "records.jsonl").write_bytes(b"\n".join(lines) + end)
    return read_records(folder)


def names(found):
    return [record.case.candidate for record in found.records]


def test_records_come_back_in_their_order_and_a_case_that_ran_again_counts_once(tmp_path):
    found = written(tmp_path, line("a", outcome="error"), line("b", reason="이유"), line("a", seconds=2.0))
    assert names(found) == ["b", "a"]
    b, a = found.records
    assert (str(b.outcome.reason), a.outcome.kind, a.measured.seconds) == ("이유", "passed", 2.0)
    assert found.torn_line is None


def test_a_record_is_the_same_after_it_was_written_and_read(tmp_path):
    figures = {
        "seconds_each": (1.0, 2.0),
        "taints": ["hot"],
        "attention_backends": ("math",),
        "planned_peak_device_mib": 5.0,
    }
    record = made("a", "r16", outcome="failed", reason="why", quality_interval=(1.0, 2.0), **figures)
    assert written(tmp_path, record.as_line(), end=b"").records == (record,)
    assert record_of(record.as_dict()) == record
    assert record.as_dict()["case"]["id"] == "bench_fine_tuning[a-r16]"


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_line_is_set_aside(tmp_path, kept):
    whole = line("b", reason="한글")
    found = written(tmp_path, line("a"), whole[:kept], end=b"")
    assert names(found) == ["a"]
    assert found.torn_line == whole[:kept]


@pytest.mark.parametrize("garbage", [b"{", b"[1]", b'{"case": "b"}', b"\xff", b"null"])
def test_a_last_line_that_is_no_record_is_set_aside_and_one_before_it_is_not(tmp_path, garbage):
    assert written(tmp_path, line("a"), garbage).torn_line == garbage
    with pytest.raises(InputError, match="has no record in line 2: correct or delete that line"):
        written(tmp_path, line("a"), garbage, line("c"))


@pytest.mark.parametrize("path", ["invented", "case.invented", "measured.invented", "measured.memory.invented"])
def test_fields_of_another_version_do_no_harm(tmp_path, path):
    (found,) = written(tmp_path, with_facts(path, 1)).records
    assert isinstance(found, Record)
    assert found.taints == ()


def test_what_a_message_says_in_a_newer_version_is_shown(tmp_path):
    said = {"key": "reason.invented", "values": {"mib": 5}}
    (found,) = written(tmp_path, with_facts("outcome", {"kind": "failed", "reason": said})).records
    assert str(found.outcome.reason) == "reason.invented, mib 5"


def test_a_figure_that_is_no_number_is_null_and_its_line_is_whole(tmp_path):
    figures = {"held_out_nats_per_character": math.nan, "held_out_loss": math.inf, "losses": (1.5, math.nan)}
    (found,) = written(tmp_path, changed(made("a"), **figures).as_line(), end=b"").records
    assert (found.quality.held_out_nats_per_character, found.quality.held_out_loss) == (None, None)
    assert (found.measured.losses, found.measured.has_diverged) == ((1.5, None), True)


def test_a_setting_may_be_of_any_size(tmp_path):
    (found,) = written(tmp_path, made("a", protocol={"learning_rate": 1e30}).as_line(), end=b"").records
    assert found.experiment.protocol == {"learning_rate": 1e30}


def test_an_empty_file_has_no_records_and_a_folder_without_one_is_told(tmp_path):
    assert written(tmp_path, end=b"").records == ()
    with pytest.raises(InputError, match=r"has no readable records\.jsonl \(No such file or directory\)"):
        read_records(tmp_path / "none")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", SCHEMA + 1),
        ("schema", "2"),
        ("case", "bench_inference[a]"),
        ("case.candidate", None),
        ("case.variant", 16),
        ("case.is_planned", 1),
        ("outcome.kind", "great"),
        ("outcome.reason", "text"),
        ("outcome.reason", {"key": 5, "values": {}}),
        ("measured.seconds", "1"),
        ("measured.seconds", True),
        ("measured.seconds", float("nan")),
        ("measured.seconds", float("inf")),
        ("measured.seconds_each", [1, "2"]),
        ("measured.seconds_each", [float("nan")]),
        ("measured.seconds_each", [10**400]),
        ("measured.losses", [None, True]),
        ("measured.card.taints", "all"),
        ("measured.card.taints", ["all"]),
        ("quality.interval", [1.0]),
        ("quality.interval", [1.0, 2.0, 3.0]),
        ("environment.versions", {"torch": 2}),
        ("experiment.budget_mib", None),
        ("experiment.budget_mib", 0),
        ("experiment.budget_mib", -1.0),
    ],
)
def test_a_field_of_the_wrong_kind_makes_no_record(tmp_path, path, value):
    assert written(tmp_path, with_facts("measured.seconds", 1)).torn_line is None
    assert written(tmp_path, with_facts(path, value)).torn_line is not None
