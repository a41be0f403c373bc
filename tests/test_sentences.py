"""Sentences about results: made in English, and said again in Korean from nothing but their English."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from choices import candidate, chosen, fine_tuning, inference, judged, plan
from ohlora_fixtures.report.mixed import listed, mixed_notes

from ohlora_fixtures.base import messages
from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.messages import again, sentence, texts
from ohlora_fixtures.base.units import Verdict
from ohlora_fixtures.base.words import LANGUAGES
from ohlora_fixtures.choice.choosing import Choosing
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS
from ohlora_fixtures.inputs.judge_settings import JudgeSettings
from ohlora_fixtures.inputs.protocol import parse_protocol
from ohlora_fixtures.meters.card import taints_of_condition, taints_of_use
from ohlora_fixtures.meters.nvml import Condition
from ohlora_fixtures.quality.agreement import agreement
from ohlora_fixtures.quality.grades import read_grades
from ohlora_fixtures.results.answers import GivenAnswer
from ohlora_fixtures.results.comparison import compare
from ohlora_fixtures.session.outcomes import OutOfMemory

NAMES = """MiB GPU VRAM HTTP JSON CSV UTF CP949 Python ECC GB W C end of sequence token environment json
model_type lora_rank max_length max_row_tokens best good fair poor worst judge model allow remote code"""
"""Of units, formats, fields, options and grades: the same in every language."""


def english_in(text, *names):
    """The Latin words that are left of a text without these names and what is a name everywhere."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "")
    return set(re.findall("[A-Za-z_]+[0-9]*", text)) - set(NAMES.split())


def values_of(text):
    return re.findall(r"\{(\w+)\}", text)


TABLES = {key.partition(".")[0] for key in texts()}


def made(key, language):
    """A sentence, in which a plain one stands where it may hold another, and what others said everywhere else."""
    values = {}
    for number, name in enumerate(values_of(texts()[key]["en"]), 7):
        table = name.rstrip("0123456789")
        plain = (each for each in texts() if each.startswith(f"{table}.") and not nests(each))
        inner = next(plain, None) if table in TABLES else None
        values[name] = made(inner, language) if inner else f"{number}" if table == "count" else f"값{number}"
    return texts()[key][language].format(**values)


def nests(key):
    return any(name.rstrip("0123456789") in TABLES for name in values_of(texts()[key]["en"]))


@pytest.mark.parametrize("key", texts())
def test_every_sentence_is_found_again_in_its_english_and_has_no_english_in_korean(key):
    assert set(texts()[key]) == set(LANGUAGES)
    assert sorted(values_of(texts()[key]["ko"])) == sorted(values_of(texts()[key]["en"]))
    table, english = key.partition(".")[0], made(key, "en")
    assert again(table, english, "ko") == made(key, "ko")
    assert again(table, english, "en") == english
    assert english_in(made(key, "ko")) == set()


def test_every_sentence_is_made_somewhere():
    source = "".join(path.read_text() for path in Path(messages.__file__).parent.rglob("*.py"))
    by_a_name = re.compile(
        "criterion|source|by|note.(kept_|weights|protocol_hash|dataset_sha256)|taint.(un)?corrected_"
        "|reason.(over_budget|out_of_memory|error|failed|skipped)$"
    )
    for key in texts():
        assert f'"{key}"' in source or by_a_name.match(key) or texts()[key]["en"] in source, key


def choices():
    """Selections that together have every reason, unknown and caution, and the names in them."""
    records = [fine_tuning("a"), inference("a", device="L4"), fine_tuning("b")]
    free, bound = candidate("b", leaderboard_average=None), candidate("bound", free_license=False)
    yield chosen([], [])
    yield chosen(
        [bound, free], [*records, fine_tuning("bound")], {"a": judged(70.0, "person"), "b": judged(5, "judge")}
    )
    yield chosen([free], records, {"a": judged(1.0, is_tuned=False), "b": judged(2.0)})
    yield chosen([], [fine_tuning("a"), fine_tuning("b")], {"a": judged(1.0, is_tuned=False)})
    bare = [fine_tuning(name, peak_device_mib=None, seconds=None) for name in ("a", "b")]
    yield chosen([candidate(name, leaderboard_average=None) for name in ("a", "b")], bare)
    yield chosen([], [bare[0], fine_tuning("b", taints=["hot"], is_overfitted=True)])
    yield chosen([], [fine_tuning("a"), replace(fine_tuning("b"), budget_mib=24576.0)])
    yield chosen([], [plan(fine_tuning("a")), plan(inference("a"))])
    yield chosen([], [replace(each, allocated_after_mib=5.0) for each in bare])
    reasons = [sentence("not_judged.random_weights"), sentence("not_judged.out_of_memory")]
    yield chosen([], [fine_tuning("a", not_judged=reasons[0]), fine_tuning("b", not_judged=reasons[1])])
    ran_out = OutOfMemory(96.0, 1.0, 2.0, 3.0, 4.0).sentence()
    over, lacking = Verdict(13000.0, 12288.0).sentence(), {"outcome": "out_of_memory", "reason": ran_out}
    yield chosen([], [fine_tuning("a", outcome="over_budget", reason=over), fine_tuning("b", **lacking)])
    yield chosen([], [fine_tuning("a"), inference("a", **lacking), plan(fine_tuning("b", **lacking))])
    yield chosen([], [fine_tuning("a", peak_device_mib=13000.0), inference("b")])
    for outcome in ("error", "failed", "skipped"):
        yield chosen([], [fine_tuning("a", outcome=outcome), fine_tuning("b")])


def test_a_choice_has_no_english_in_korean():
    told = set()
    for selection in choices():
        told |= {("unknown", each) for each in selection.unknown} | {("caution", each) for each in selection.cautions}
        told |= {("reason", each.reason) for each in selection.excluded}
    assert len(told) > 25
    for table, english in told:
        said = again(table, english, "ko")
        assert english_in(said, "apache-2.0", "a r16", "b r16") == set(), english


def test_what_is_said_of_judgements_has_no_english_in_korean(tmp_path):
    record = fine_tuning("a", quality_score=50.0, quality_each=[10.0, 50.0, 90.0])
    answers = {"a": {16: [GivenAnswer("p", "x"), GivenAnswer("q", "y"), GivenAnswer("r", "z")]}}
    unreachable = JudgeSettings("http://127.0.0.1:9/v1/chat/completions", "m", "", 1000)
    told = set()
    for number, grades in enumerate(
        ("a,16,p,x,상\na,16,q,y,중\na,16,r,z,하", "a,16,s,x,상\na,16,p,,하\na,16,,,중", "a,,p,x,?")
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "grades.csv").write_text(f"candidate,lora_rank,prompt,answer,grade\n{grades}\n", encoding="utf-8")
        found = compare([candidate("a")], (16,), [record], {})
        cap = replace(unreachable, most_tokens=1)
        told |= {*Choosing(DEFAULT_WEIGHTS, any_license=True, judge=cap).choose(found, answers, folder).agreement}
    pairs = {"a": [(1, 1), (2, 2), (3, 3)]}
    told |= {agreement("the judge's grades", "the computed score", "candidates", pairs)}
    assert len(told) == 7
    for english in told:
        names = (str(tmp_path), "grades.csv", "judge_prompt.md", unreachable.url, "후보는 a", " m(", "'p'", "a가")
        said = re.sub(r"\([0-9a-f]{12}\)", "", again("agreement", english, "ko"))
        assert english_in(said, *names) == set(), english


@pytest.mark.parametrize(
    "text", ["prompt,grade\np,상", 'candidate,prompt,grade\na,"p', "candidate,prompt,grade\na,p,상,5"]
)
def test_what_is_wrong_with_grades_has_no_english_in_korean(tmp_path, text):
    path = tmp_path / "1.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_grades([path])
    said = again("mistake", str(caught.value), "ko")
    assert english_in(said, str(path), "candidate", "prompt", "grade", "unexpected end of data") == set()


def test_what_taints_a_measurement_has_no_english_in_korean():
    hot = Condition(0xFC, 95, 90, 60.0, 70.0, 1000, 0, 0)
    taints = taints_of_condition([hot, replace(hot, corrected_ecc_errors=1, uncorrected_ecc_errors=2)])
    taints += [*taints_of_use(1, 20, 5.0, 10.0), *taints_of_use(2, None, None, 10.0)]
    assert len(taints) == 14
    for english in taints:
        assert english_in(again("taint", english, "ko")) == set(), english
    refused = sentence("reason.tainted", taint="; ".join(taints))
    assert english_in(again("reason", refused, "ko")) == set()


def test_notes_have_no_english_in_korean():
    records = [
        fine_tuning(f"c{number}", device=device, versions={"torch": device}, weights=device, protocol_hash=device)
        for number in range(10)
        for device in ("L4", "T4")
    ]
    notes = [*mixed_notes(records), sentence("note.merged", count=10, names=listed([f"c{at}" for at in range(10)]))]
    assert len(notes) == 5
    for english in notes:
        said = again("note", english, "ko")
        assert english_in(re.sub(r"\bc[0-9]\b", "", said), "L4", "T4", "torch") == set(), english
    (change,) = parse_protocol(["epochs=1"]).changes()
    assert again("change", change, "ko") == "epochs 1 (원 연구 10)"


def test_what_a_library_says_stays_as_it_is_within_our_sentence():
    library = "ValueError: answers, candidates; heat, the computed score and 5 more"
    assert again("reason", library, "ko") == library
    built = sentence("reason.not_built", candidate="x", error=library)
    assert again("reason", sentence("reason.error", reason=built), "ko") == f"오류: x: 모델을 만들 수 없음: {library}"


def test_a_hostile_reason_takes_no_time_and_no_stack():
    for text in ("planned: " * 20_000, "a and b under a cap of " * 20_000, "; " * 20_000, "error: x; " * 20_000):
        assert len(again("reason", text, "ko")) > 10_000
