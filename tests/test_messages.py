"""Messages: a key and its values, with a text in Korean and in English, and data until they are printed."""

import json
import re
import string
from dataclasses import replace
from pathlib import Path

import pytest
from choices import candidate, chosen, fine_tuning, inference, judged, plan
from hypothesis import given
from hypothesis import strategies as st
from made import changed, made
from test_untrusted import HOSTILE, SPECIFIED

from ohlora_fixtures.base import messages
from ohlora_fixtures.base.errors import CandidateError, InputError
from ohlora_fixtures.base.messages import LANGUAGES, Message, message, texts, told_by, verbatim
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, Choosing
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.inputs.judge_settings import JudgeSettings
from ohlora_fixtures.inputs.protocol import parse_protocol
from ohlora_fixtures.meters.card import taints_of_condition, taints_of_use
from ohlora_fixtures.meters.memory import MemoryReading
from ohlora_fixtures.meters.nvml import Condition
from ohlora_fixtures.quality.grades import read_grades
from ohlora_fixtures.quality.grading import agreement
from ohlora_fixtures.report.notes import listed, mixed_notes
from ohlora_fixtures.results.answers import GivenAnswer
from ohlora_fixtures.results.comparison import compare
from ohlora_fixtures.results.fit import above_budget
from ohlora_fixtures.results.record import Measured, plain, record_of
from ohlora_fixtures.session.records import out_of_memory

NAMES = """MiB GPU VRAM HTTP JSON CSV UTF CP949 Python ECC GB W C end of sequence token environment json
model_type lora_rank text_template max_length max_row_tokens best good fair poor worst judge model allow remote code
peft peft_type adapter columns prompt answer messages split train role content from value Hub pip install datasets
config quantization_config bf16 LoRA CPU CUDA pytest benches python m ohlora_fixtures report grades published license
answers grade any transformers PyTorch cuBLAS TFLOP FLOP s OOM Colab T4 nats x AdamW QLoRA bitsandbytes"""
"""Of units, formats, fields, options and grades: the same in every language."""


def english_in(text, *names):
    """The Latin words that are left of a text without these names and what is a name everywhere."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "")
    return set(re.findall("[A-Za-z_]+[0-9]*", text)) - set(NAMES.split())


def values_of(text):
    """The names in a text's braces, with how their figures are printed."""
    return sorted((name, form) for _, name, form, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("key", texts())
def test_every_text_stands_in_each_language_with_the_same_values(key):
    korean, english = (texts()[key][language] for language in ("ko", "en"))
    assert set(texts()[key]) == set(LANGUAGES)
    assert {name for name, _ in values_of(korean)} == {name for name, _ in values_of(english)}
    values = {
        name: 7 if form.endswith(("f", ",", "%")) else f"\N{DEGREE SIGN}{name}" for name, form in values_of(english)
    }
    names = [f"\N{DEGREE SIGN}{name}" for name in values]
    said = message(key, **values)
    assert english_in(said.text("ko"), *names) == set()
    assert all(str(value) in said.text(language) for value in values.values() for language in LANGUAGES)


BY_A_NAME = re.compile(
    "criterion|source|by|changed|judged_by|turn|ending|scale|weights|tokenizer|file.|note.(kept_|weights|protocol_hash|dataset_sha256)|taint.(un)?corrected_"
    "|stored.other_|table.seconds_planned_"
    "|reason.(over_budget|out_of_memory|error|failed|skipped)$"
)
"""Keys that the code puts together of a name that it has."""


def test_every_message_is_made_somewhere_and_none_is_made_that_has_no_text():
    source = "".join(path.read_text(encoding="utf-8") for path in Path(messages.__file__).parents[1].rglob("*.py"))
    assert [key for key in texts() if f'"{key}"' not in source and not BY_A_NAME.match(key)] == []
    made_in_code = set(re.findall(r'\bmessage\(\s*"([a-z_.]+)"', source))
    assert len(made_in_code) > 50
    assert made_in_code <= set(texts())


def test_a_message_that_has_no_text_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        message("reason.invented")
    with pytest.raises(KeyError):
        message("reason.licence").text()


def test_messages_hold_others_and_several_in_a_row():
    inner = [message("cause.heat"), message("cause.power_cap")]
    throttled = [message("taint.throttled", cause=each, count1=1, count2=3) for each in inner]
    said = message("reason.failed", reason=message("reason.tainted", taint=throttled))
    assert said.text("en") == (
        "failed: the measurement is tainted: clocks throttled by heat in 1 of 3 samples; "
        "clocks throttled by the power cap in 1 of 3 samples"
    )
    assert said.text("ko") == (
        "실패: 믿기 어려운 측정: 표본 3개 가운데 1개에서 클럭이 낮아짐: 열; "
        "표본 3개 가운데 1개에서 클럭이 낮아짐: 전력 제한"
    )
    assert message("unknown.of_any", criterion=["a", "b"]).text().endswith(": a, b")


def test_a_message_tells_its_figures_with_its_own_digits():
    said = above_budget(12900.0, 12288.0)
    assert str(said) == ("device memory of 12900.00 MiB is 612.00 MiB (5.0%) above the VRAM budget of 12288.00 MiB")
    assert said.text("ko") == "장치 메모리 12900.00 MiB가 VRAM 예산 12288.00 MiB보다 612.00 MiB(5.0%) 많음"
    assert said.values["peak"] == 12900.0


def test_messages_are_values():
    one, other = (message("reason.failed", reason=verbatim("why")) for _ in range(2))
    assert one == other
    assert len({one, other, message("reason.failed", reason="why")}) == 2


TEXT = HOSTILE.map(lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"))
"""Two surrogates side by side are one character to JSON."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(lambda values: Message("a.b", values), st.dictionaries(TEXT, inner, max_size=3))
    ),
    max_leaves=6,
)


@SPECIFIED
@given(st.dictionaries(TEXT, VALUES, max_size=3))
def test_a_message_survives_json(values):
    said = Message("reason.invented", values)
    record = made("x", outcome="failed", reason=said)
    facts = json.loads(json.dumps(record.as_dict()))
    assert facts["outcome"]["reason"] == json.loads(json.dumps(plain(said)))
    found = record_of(facts).outcome.reason
    assert found == said
    assert str(found) == str(said)


def test_what_a_newer_version_says_is_shown_with_its_values():
    said = Message("reason.invented", {"mib": 5.5, "cause": message("cause.heat")})
    for language in LANGUAGES:
        assert said.text(language) == "reason.invented, mib 5.5, cause heat"
    assert Message("reason.invented").text() == "reason.invented"


def test_an_error_says_what_it_was_raised_with():
    said = message("reason.licence", licence="mine")
    for kind in (InputError, CandidateError):
        assert (told_by(kind(said)), str(kind(said))) == (said, "licence: mine")
        assert told_by(kind("one sentence")) == verbatim("one sentence")
    assert told_by(ValueError("bad\nluck")) == verbatim("ValueError: bad luck")


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
    yield chosen([], [fine_tuning("a"), fine_tuning("b", budget_mib=24576.0)])
    yield chosen([], [plan(fine_tuning("a")), plan(inference("a"))])
    yield chosen([], [changed(each, allocated_after_mib=5.0) for each in bare])
    reasons = [message("not_judged.random_weights"), message("not_judged.out_of_memory")]
    yield chosen([], [fine_tuning("a", not_judged=reasons[0]), fine_tuning("b", not_judged=reasons[1])])
    reached = MemoryReading(peak_allocated_mib=1.0, peak_reserved_mib=2.0)
    ran_out = out_of_memory(Measured(memory=reached, requested_mib=96.0, cap_mib=3.0), 4.0)
    over, lacking = above_budget(13000.0, 12288.0), {"outcome": "out_of_memory", "reason": ran_out}
    yield chosen([], [fine_tuning("a", outcome="over_budget", reason=over), fine_tuning("b", **lacking)])
    yield chosen([], [fine_tuning("a"), inference("a", **lacking), plan(fine_tuning("b", **lacking))])
    yield chosen([], [fine_tuning("a", peak_device_mib=13000.0), inference("b")])
    for outcome in ("error", "failed"):
        yield chosen([], [fine_tuning("a", outcome=outcome), fine_tuning("b")])


def test_a_choice_has_no_english_in_korean():
    told = set()
    for selection in choices():
        told |= {*selection.unknown, *selection.cautions, *(each.reason for each in selection.excluded)}
    assert len(told) > 25
    for each in told:
        assert english_in(each.text("ko"), "apache-2.0", "a r16", "b r16") == set(), each


def test_what_is_said_of_judgements_has_no_english_in_korean(tmp_path):
    record = fine_tuning("a", quality_score=50.0, quality_each=(10.0, 50.0, 90.0))
    answers = {answering_case("a", "r16"): [GivenAnswer("p", "x"), GivenAnswer("q", "y"), GivenAnswer("r", "z")]}
    unreachable = JudgeSettings("http://127.0.0.1:9/v1/chat/completions", "m", "", 1000)
    told = set()
    for number, grades in enumerate(
        ("a,r16,p,x,상\na,r16,q,y,중\na,r16,r,z,하", "a,r16,s,x,상\na,r16,p,,하\na,r16,,,중", "a,,p,x,?")
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "grades.csv").write_text(f"candidate,variant,prompt,answer,grade\n{grades}\n", encoding="utf-8")
        found = compare([candidate("a")], ("r16",), [record], {})
        cap = replace(unreachable, most_tokens=1)
        told |= {*Choosing(DEFAULT_WEIGHTS, any_license=True, judge=cap).choose(found, answers, folder).agreement}
    pairs = {"a": [(1, 1), (2, 2), (3, 3)]}
    told |= {agreement(message("by.judge"), message("by.computed"), message("judged.candidates"), pairs)}
    assert len(told) == 7
    for each in told:
        names = (str(tmp_path), "grades.csv", "judge_prompt.md", unreachable.url, "후보는 a", " m(", "'p'", "a가")
        said = re.sub(r"\([0-9a-f]{12}\)", "", each.text("ko"))
        assert english_in(said, *names) == set(), each


@pytest.mark.parametrize(
    "text", ["prompt,grade\np,상", 'candidate,prompt,grade\na,"p', "candidate,prompt,grade\na,p,상,5"]
)
def test_what_is_wrong_with_grades_has_no_english_in_korean(tmp_path, text):
    path = tmp_path / "1.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_grades([path])
    said = told_by(caught.value).text("ko")
    assert english_in(said, str(path), "candidate", "prompt", "grade", "unexpected end of data") == set()


def test_what_taints_a_measurement_has_no_english_in_korean():
    hot = Condition(0xFC, 95, 90, 60.0, 70.0, 1000, 0, 0)
    taints = [*taints_of_condition([hot, replace(hot, corrected_ecc_errors=1, uncorrected_ecc_errors=2)])]
    taints += [*taints_of_use(1, 20, 5.0, 10.0), *taints_of_use(2, None, None, 10.0)]
    assert len(taints) == 14
    for each in taints:
        assert english_in(each.text("ko")) == set(), each
    assert english_in(message("reason.tainted", taint=taints).text("ko")) == set()


def test_notes_have_no_english_in_korean():
    records = [
        fine_tuning(f"c{number}", device=device, versions={"torch": device}, weights=device, protocol_hash=device)
        for number in range(10)
        for device in ("L4", "T4")
    ]
    notes = [
        *mixed_notes(compare([], (), records, {})),
        message("note.merged", count=10, names=listed([f"c{at}" for at in range(10)])),
    ]
    assert len(notes) == 5
    for each in notes:
        said = re.sub(r"\bc[0-9]\b", "", each.text("ko"))
        assert english_in(said, "L4", "T4", "torch") == set(), each
    (change,) = parse_protocol(["epochs=1"]).changes()
    assert change.text("ko") == "epochs 1 (원 연구 10)"


def test_what_a_library_says_stays_as_it_is_within_our_sentence():
    library = "ValueError: answers, {candidates}; heat, the computed score and 5 more"
    assert verbatim(library).text("ko") == library
    built = message("reason.not_built", candidate="x", error=library)
    assert message("reason.error", reason=built).text("ko") == f"오류: x: 모델을 만들 수 없음: {library}"
