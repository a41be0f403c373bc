"""The choice in words: what a terminal, a Markdown page and `selection.json` say of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from choices import candidate, chosen, fine_tuning, inference, judged, plan
from hypothesis import given
from hypothesis import strategies as st
from made import changed
from test_untrusted import HOSTILE, is_obeyed

from conftest import at_most
from ohlora_fixtures.base.safe_text import json_page
from ohlora_fixtures.choice.selection import CRITERIA, DEFAULT_WEIGHTS, Choosing
from ohlora_fixtures.report import choice
from ohlora_fixtures.report.layout import Terminal
from ohlora_fixtures.results.comparison import compare
from ohlora_fixtures.results.record import record_of

WEIGHTS = (
    "weights: quality=5, leaderboard=1, fine_tuning_seconds=1, fine_tuning_memory=1, inference_seconds=1, "
    "inference_memory=1"
)
BOUND = candidate("bound", free_license=False, binding_license="a | b")


def two(**weights):
    """Two candidates, of which the first is better and the second lighter, and one that is excluded."""
    records = [fine_tuning("good"), inference("good"), fine_tuning("light", peak_device_mib=3000.0), inference("light")]
    records += [fine_tuning("bound"), fine_tuning("bound", "r32")]
    qualities = {"good": judged(70.0, "person", is_tuned=False), ("light", "r16"): judged(50.0, "person")}
    return chosen([BOUND], records, qualities, weights)


def lines(selection):
    return choice.terminal(selection, Terminal(1000, verbosity=1)).splitlines()


def test_a_terminal_is_told_the_reasons_and_last_the_choice():
    assert lines(two()) == [
        "excluded, no free licence (--any-license admits it): bound (a | b)",
        WEIGHTS,
        "Pareto front of quality, memory and time: good r16, light r16",
        "light r16 would be chosen with a weight of quality below 2.44, or of fine_tuning_memory above 2.05",
        "no other weight, moved alone, changes the choice",
        "the quality of good r16 is that of the untuned model's answers",
        "Final choice: good r16 (상 by a person, total 65.8 of 100)",
        "Reserve: light r16 (중 by a person, total 60.7)",
    ]


def test_the_weights_as_told_are_an_options_value():
    told = next(line for line in lines(two(quality=2.5)) if line.startswith("weights: "))
    assert re.findall(r"(\w+)=([0-9.]+)", told)[0] == ("quality", "2.5")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_it_fits_the_terminal(width):
    assert max(map(len, choice.terminal(two(), Terminal(width, verbosity=1)).splitlines())) <= width


def test_where_no_weight_changes_the_choice_or_every_one_does_it_is_said_so():
    better = [fine_tuning("good", seconds=60.0), inference("good")]
    like_it = chosen(
        [], [*better, fine_tuning("worse"), inference("worse")], {"good": judged(90.0), "worse": judged(20.0)}
    )
    assert "no single weight, moved alone, changes the choice" in lines(like_it)
    cheaper = [fine_tuning("cheap", seconds=30.0, peak_device_mib=3000.0)]
    cheaper += [inference("cheap", steady_median_seconds=1.0, peak_device_mib=2000.0)]
    qualities = {"good": judged(90.0), "cheap": judged(20.0)}
    open_to_all = chosen([candidate("cheap", leaderboard_average=60.0)], [*better, *cheaper], qualities)
    assert {each.criterion for each in open_to_all.shifts} == set(CRITERIA)
    assert [line for line in lines(open_to_all) if "moved alone" in line] == []


def test_a_choice_between_level_candidates_says_so():
    told = lines(chosen([], [fine_tuning("a"), fine_tuning("b", "r32")]))
    assert "tied with the choice and ranked after it only by name: b r32" in told
    assert told[-2] == "Final choice: a r16 (중 by the computed score, total 50.8 of 100)"


@pytest.mark.parametrize(
    ("records", "weights", "sentence"),
    [
        ([], {}, "No recommendation yet: nothing was measured or planned"),
        ([fine_tuning("bound")], {}, "No recommendation yet: no candidate meets the conditions"),
        (
            [fine_tuning("x")],
            dict.fromkeys(CRITERIA, 0.0) | {"inference_seconds": 1.0},
            "No recommendation yet: no criterion with a weight is known for any option",
        ),
    ],
)
def test_where_there_is_no_choice_the_reason_stands_last(records, weights, sentence):
    assert lines(chosen([BOUND], records, weights=weights))[-1] == sentence


def test_one_candidate_has_no_reserve():
    told = lines(chosen([], [fine_tuning("x")]))
    assert told[-1] == "Reserve: none, no other candidate meets the conditions and is judged"
    assert [line for line in told if "moved alone" in line] == []


def test_candidates_excluded_for_the_same_reason_stand_together_and_their_ranks():
    failed = {"outcome": "failed", "reason": "diverged"}
    records = [fine_tuning(name, variant, **failed) for name in ("x", "y") for variant in ("r16", "r64")] + [
        fine_tuning("z")
    ]
    assert lines(chosen([], records))[0] == "excluded: x r16/r64, y r16/r64: failed: diverged"


def test_markdown_shows_how_every_total_comes_about():
    page = choice.markdown(two())
    assert page.startswith("## The choice\n\n**Final choice: good r16")
    rows = [[cell.strip() for cell in line.split(" | ")] for line in page.splitlines() if line.startswith("|")]
    assert rows[0][3:5] == ["quality, weight 5", "leaderboard average, weight 1"]
    assert [row[0] for row in rows[2:]] == [r"| good r16\*", r"| light r16\*"]
    assert rows[2][1:] == [
        "65.8",
        "a person",
        "상 70.0 (0.70)",
        "30.0 (0.30)",
        "60.0 s (1.00)",
        "9,000 MiB (0.27)",
        "2.00 s (1.00)",
        "6,000 MiB (0.51) |",
    ]
    assert r"- excluded, no free licence (--any-license admits it): bound (a \| b)" in page


def test_a_figure_that_is_not_known_shows_what_it_counts_as():
    records = [fine_tuning("x"), fine_tuning("y", seconds=None)]
    rows = [line for line in choice.markdown(chosen([], records)).splitlines() if line.startswith("| y")]
    assert rows == [
        "| y r16 | 50.8 | the computed score | 중 50.0 (0.50) | 30.0 (0.30) | (1.00) | 9,000 MiB (0.27) | - | - |"
    ]


def test_json_holds_all_of_it():
    found = json.loads(json_page(choice.as_facts(two())))
    assert set(found) == {
        *(
            "choice",
            "reserve",
            "any_license",
            "weights",
            "bases",
            "ranked",
            "ranking",
            "pareto_front",
            "shifts",
            "excluded",
        ),
        *("obstacle", "possible", "doubts", "unknown", "cautions", "judging", "elsewhere", "next"),
    }
    assert (found["choice"], found["ranked"]) == (found["ranking"][0], 2)
    assert found["reserve"]["candidate"] == "light"
    assert found["choice"]["quality"] == {
        "score": 70.0,
        "interval": None,
        "grade": "상",
        "source": "person",
        "is_tuned": False,
        "judged": None,
        "given": None,
        "is_matched": None,
    }
    assert set(found["choice"]["figures"]) == set(found["choice"]["scores"]) == set(CRITERIA)
    assert found["pareto_front"] == [{"candidate": name, "variant": "r16"} for name in ("good", "light")]
    assert found["shifts"][0] == {
        "criterion": "quality",
        "weight": 5.0,
        "turns_at": pytest.approx(2.44, abs=0.005),
        "side": "below",
        "candidate": "light",
        "variant": "r16",
    }
    assert found["excluded"] == [{"candidate": "bound", "variant": None, "reason": "licence: a | b"}]
    nothing = json.loads(json_page(choice.as_facts(chosen([], [fine_tuning("x")], {}))))
    assert (nothing["choice"], nothing["obstacle"], nothing["ranking"]) == (None, "no model's answers are judged", [])
    assert [(each["candidate"], each["variant"]) for each in nothing["possible"]] == [("x", "r16")]


def test_without_a_choice_a_terminal_is_told_what_fits_what_is_known_of_it_and_what_to_type(tmp_path):
    studied = [candidate(name, leaderboard="A board, 2025-04-19") for name in ("polyglot-ko-1.3b", "llama1B")]
    records = [
        plan(fine_tuning(name, variant)) for name in ("polyglot-ko-1.3b", "llama1B") for variant in ("r16", "r32")
    ]
    records += [
        plan(fine_tuning("bound")),
        plan(fine_tuning("large", peak_device_mib=13000.0)),
        plan(fine_tuning("new")),
    ]
    found = compare(
        [*studied, BOUND, candidate("large"), candidate("new", leaderboard_average=None)], ("r16",), records, {}
    )
    selection = Choosing(DEFAULT_WEIGHTS, any_license=False).choose(found, {}, tmp_path)
    sources = "(average: A board, 2025-04-19; grade: published by the study, April 2025, of untuned answers)"
    command = f"python -m ohlora_fixtures report {tmp_path} --grades published"
    assert choice.terminal(selection, Terminal(1000)).splitlines() == [
        "excluded, no free licence (--any-license admits it): bound (a | b)",
        "excluded, does not fit: large r16",
        "fits: llama1B, polyglot-ko-1.3b r16/r32, new r16",
        f"known from elsewhere: llama1B 30.00 중, polyglot-ko-1.3b 30.00 상 {sources}",
        "No recommendation yet: no model's answers are judged",
        "Next: pytest benches with the same models and data, on a machine with a CUDA GPU, to have answers judged",
        f"Or now, by the study's published grades: {command}",
    ]
    korean = choice.markdown(selection, "ko")
    assert "아직 추천할 수 없음" in korean
    assert "Next" not in korean
    by_study = Choosing(DEFAULT_WEIGHTS, any_license=False, published=True).choose(found, {}, tmp_path)
    assert (
        choice.terminal(by_study, Terminal(1000))
        .splitlines()[-2]
        .startswith("Final choice: polyglot-ko-1.3b r16 (상 as published by the study, April 2025, total")
    )
    assert by_study.choice.quality.source == "published"


KINDS = ["passed", "passed", "over_budget", "out_of_memory", "error", "failed", "skipped"]
NUMBER = st.none() | st.integers(-(2**62), 2**62) | st.floats(-1e15, 1e15)
TEXT = st.none() | HOSTILE
FOREIGN = {
    "outcome": st.sampled_from(KINDS),
    "reason": TEXT,
    "protocol": st.dictionaries(st.just("prompt_rows"), HOSTILE | st.sampled_from(["5:5", "0:" + "9" * 5000])),
    "budget_mib": st.floats(1e-300, 1e15),
    "scale": st.just("full") | TEXT,
    "weights": st.just("hub") | TEXT,
    "device": TEXT,
    "taints": st.none() | st.lists(HOSTILE, max_size=2),
    "is_overfitted": st.none() | st.booleans(),
    "not_judged": TEXT,
    "quality_grade": TEXT,
    "quality_interval": st.none() | st.tuples(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15)),
    "quality_each": st.none() | st.lists(st.floats(-1e15, 1e15), max_size=3),
    "quality_parts": st.none() | st.dictionaries(HOSTILE, st.floats(-1e15, 1e15), max_size=2),
    **dict.fromkeys(
        ("seconds", "steady_median_seconds", "peak_device_mib", "planned_peak_device_mib", "quality_score"), NUMBER
    ),
    "allocated_after_mib": NUMBER,
}

OF_PLAN = {name: FOREIGN[name] for name in ("outcome", "reason", "protocol", "budget_mib", "scale", "device")}
OF_PLAN |= {"peak_device_mib": NUMBER}


@st.composite
def foreign_records(draw):
    cases = [make(name) for name in ("x", "y") for make in (fine_tuning, inference)]
    plans = [plan(case, **draw(st.fixed_dictionaries({}, optional=OF_PLAN))) for case in cases]
    return [changed(case, **draw(st.fixed_dictionaries({}, optional=FOREIGN))) for case in cases] + plans


@at_most(50)
@given(foreign_records(), HOSTILE, st.floats(1e-300, 1e300))
def test_whatever_a_folders_records_say_there_is_a_choice_or_none_and_its_words_are_harmless(records, licence, average):
    records = [record_of(json.loads(each.as_line())) for each in records]
    candidates = [
        candidate("x", binding_license=licence, leaderboard_average=average),
        candidate("y", binding_license=licence, free_license=False),
    ]
    found = compare(candidates, ("r16",), records, {})
    for any_license in (True, False):
        selection = Choosing(DEFAULT_WEIGHTS, any_license).choose(found, {}, Path("nowhere"))
        page = choice.markdown(selection)
        for text in (
            page,
            choice.terminal(selection, Terminal(80, verbosity=1)),
            json_page(choice.as_facts(selection)).decode(),
        ):
            assert [each for each in text if is_obeyed(each) and each != "\n"] == []
        bare = re.sub(r"\\[^\w\s]|\\_", ",", page)
        assert re.findall(r"<(?!br>)|`|~|\]\(|://", bare) == []
        assert (
            "NaN" not in json_page(choice.as_facts(replace(selection, excluded=(), unknown=(), cautions=()))).decode()
        )
        assert sum(line.startswith(("Final", "No recommendation yet: ")) for line in lines(selection)) == 1
