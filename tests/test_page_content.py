"""What `report.html` shows: the records' numbers, the choice and its reasons, answers, what is unknown."""

import re
from dataclasses import replace

import page_changes
import page_data
import page_selection
from made import changed
from test_page import Document, page_of

from ohlora_fixtures.inputs.cases import Case, answering_case
from ohlora_fixtures.report import page as page_module
from ohlora_fixtures.report.page.listings import by_prompt
from ohlora_fixtures.report.quantities import MEASURED, PLANNED, QUALITY, known
from ohlora_fixtures.report.words import texts
from ohlora_fixtures.results.answers import GivenAnswer
from ohlora_fixtures.results.flat import PATHS


def near(text, figure):
    """Whether a text shows a figure to its last digit."""
    shown = text.replace(",", "").rstrip("*")
    digits = len(shown.partition(".")[2])
    return abs(float(shown) - figure) <= 0.5 * 10**-digits + 1e-9


def recorded(row, records):
    """The record that a table's row is about."""
    variant = None if row["case"] in ("inference", "untuned") else row["case"]
    (found,) = [each for each in records if (each.case.candidate, each.case.variant) == (row["candidate"], variant)]
    return found


def test_the_memory_tables_numbers_are_the_records():
    comparison = page_data.full(3)
    document = Document(page_of(comparison))
    rows = document.rows("candidate", "case", "model weights")
    assert len(rows) == 12
    for row in rows:
        plan = recorded(row, comparison.plans).plan
        assert near(row["model weights"], plan.breakdown_mib["base_weights"])
        assert near(row["reserved, not allocated"], plan.peak_reserved_mib - plan.peak_allocated_mib)
        assert near(row["peak device, MiB"], plan.peak_device_mib)
    for row in document.rows("candidate", "case", "allocated after, MiB", "peak allocated, MiB", "peak reserved, MiB"):
        record = recorded(row, comparison.measured)
        memory = record.measured.memory
        assert near(row["allocated after, MiB"], memory.allocated_after_mib)
        assert near(row["peak device, MiB"], memory.peak_device_mib)
        off = record.plan.peak_reserved_mib / memory.peak_reserved_mib - 1
        assert abs(float(row["peak reserved, off by"].rstrip("%")) - 100 * off) <= 0.005


def test_the_other_tables_numbers_are_the_records():
    comparison = page_data.full(3)
    document = Document(page_of(comparison))
    for row in document.rows("candidate", "case", "seconds", "step or prompt, median, seconds"):
        assert near(row["seconds"], recorded(row, comparison.measured).measured.seconds)
    planned = document.rows("candidate", "case", "seconds", "as short as, seconds")
    assert len(planned) == 12
    for row in planned:
        plan = recorded(row, comparison.plans).plan
        assert near(row["seconds"], plan.seconds)
        assert near(row["as long as, seconds"], plan.seconds_high)
        assert row["times rest on"] == "rough"
    for row in document.rows("candidate", "case", "outcome", "seconds"):
        card = recorded(row, comparison.measured).measured.card
        assert near(row["highest temperature, °C"], card.highest_temperature_c)
        assert near(row["lowest SM clock, MHz"], card.lowest_sm_clock_mhz)
    for row in document.rows("candidate", "case", "first step"):
        record = recorded(row, comparison.measured)
        assert near(row["last step"], record.measured.losses[-1])
        assert near(row["held out, after"], record.quality.held_out_loss)
    first, second, third = comparison.rows
    for number, row in enumerate(document.rows("prompt", first.candidate.name)):
        for each in (first, second, third):
            assert near(row[each.candidate.name], each.cell(None).measured.measured.seconds_each[number])
            assert row[each.candidate.name].endswith("*") == (number == 0)
    for row in document.rows("candidate", "case", "study, seconds"):
        measured = recorded(row, comparison.measured).measured
        is_tuned = row["case"] != "inference"
        ours = measured.seconds if is_tuned else sum(measured.seconds_each) / len(measured.seconds_each)
        assert near(row["ours, seconds"], ours)
    for row in document.rows("candidate", "case", "quality, 0–100"):  # noqa: RUF001
        quality = recorded(row, comparison.measured).quality
        assert near(row["quality, 0–100"], quality.score)  # noqa: RUF001
        assert near(row["held-out rows, nats per character"], quality.held_out_nats_per_character)


def test_every_quantity_of_which_a_record_has_a_figure_is_in_a_table():
    comparison = page_data.with_troubles(3)
    document = Document(page_of(comparison))
    shown = {head for table in document.tables for head in table[0]}
    for each in known((*MEASURED, *QUALITY), comparison.measured) + known(PLANNED, comparison.plans):
        assert texts()[f"head.{each.bare_name}"]["en"] in shown, each.name
    for each in (*MEASURED, *PLANNED, *QUALITY):
        assert f"term.{each.term or each.bare_name}" in texts(), each.name


def test_a_choice_is_told_with_its_scores_weights_and_reasons():
    comparison = page_data.full()
    selection = page_selection.selection(comparison)
    page = page_of(comparison, selection=selection)
    document = Document(page)
    choice, reserve = selection.choice, selection.reserve
    assert f"<title>{choice.candidate.name} {choice.variant}" in page
    cards = [table for table in document.tables if table[0] == ["criterion", "score, 0–1", "weight"]]  # noqa: RUF001
    for card, option in zip(cards, (choice, reserve), strict=True):
        assert [row[1] for row in card[1:]] == [f"{score:.2f}" for score in option.scores.values()]
        assert [row[2] for row in card[1:]] == [
            f"\N{MULTIPLICATION SIGN} {weight:g}" for weight in selection.weights.values()
        ]
    text = "".join(document.text)
    assert "is chosen if the weight of quality falls from 5 below 1.37." in text
    assert "is chosen if the weight of leaderboard average rises from 1 above 9.50." in text
    assert selection.unknown[0].text() in text
    assert selection.agreement[0].text() in text
    reasons = {(row["candidate"], row["reason"]) for row in document.rows("candidate", "variant", "reason")}
    assert reasons == {(each.candidate, each.reason.text()) for each in selection.excluded}


def test_why_there_is_no_choice_is_said_with_what_remains_possible():
    comparison = page_data.plan_only()
    page = page_of(comparison)
    assert 'class="card choice"' not in page
    assert "No recommendation yet" in page
    assert "no model&#39;s answers are judged" in page
    assert "fits: KoAlpaca-KoRWKV-1.5B, koquality-polyglot-1.3b, polyglot-ko-1.3b r16/r32/r64" in page
    assert page.index('id="memory"') < page.index('id="choice"')  # a plan alone is about the plan
    assert "Which model fits the card" in page


def test_what_does_not_fit_is_said_in_words():
    page = page_of(page_data.with_troubles())
    memory = re.search(r'<section id="memory".*?</section>', page, re.DOTALL)[0]
    assert memory.count('<figure class="bars"') == 1
    assert memory.count("▲ 684 over") == 1
    assert memory.count("▲ out of memory") == 1
    assert memory.count("▲ error") == 3
    document = Document(page)
    failures = document.rows("case", "outcome", "reason")
    assert [row["outcome"] for row in failures] == ["over budget", "out of memory", "error", "error", "error"]
    assert len(document.rows("case", "reason")) == 6


def test_what_would_make_a_candidate_fit_is_drawn_and_listed():
    comparison = page_changes.too_large()
    page = page_of(comparison)
    charts = re.findall(r'<figure class="bars".*?</figure>', page, re.DOTALL)
    (drawn,) = (chart for chart in charts if "What would make it fit" in chart)
    ladder = ["r16", "+ batch 1 x 4", "+ checkpointing", "+ QLoRA", "enough"]
    ladder += ["r16", "+ rows of 58", "+ batch 1 x 4", "+ 8-bit AdamW"]
    assert [*re.findall(r'class="case">([^<]*)<', drawn)] == ladder
    assert "fits with batch 1 x 4 + QLoRA" in drawn
    assert "all together are not enough" in drawn
    assert drawn.count(" over</span>") == 3 + 4
    rows = Document(page).rows("candidate", "variant", "needed on the device, MiB", "saved, MiB")
    assert [row["fits"] for row in rows] == ["", "", "", "yes", "yes", *[""] * 4]
    changes, limit_mib = comparison.rows[0].changes
    for each, told in zip(rows, (*changes.added, changes.enough), strict=False):
        assert near(each["needed on the device, MiB"], told.needs_device_mib)
        assert (told.needs_device_mib <= limit_mib) is (each["fits"] == "yes")
    assert (rows[4]["variant"], rows[2]["FLOPs, times"]) == ("r16 + batch 1 x 4 + QLoRA", "1.30")
    assert comparison.rows[2].changes is None


def test_a_budget_far_beyond_the_peaks_does_not_flatten_them():
    records = [changed(each, budget_mib=81920.0) for each in page_data.full(1).records]
    page = page_of(page_data.compared(records, page_data.candidates()))
    assert "budget 81,920 →" in page
    assert ">80,000</span>" not in page


def test_a_card_with_less_than_the_budget_is_what_plans_are_held_to():
    limits = {"usable_mib": 11848.0, "usable_basis": "measured", "context_basis": "estimated"}
    records = [changed(each, **limits) for each in page_data.full(1).records if each.case.is_planned]
    page = page_of(page_data.compared(records, page_data.candidates()))
    assert page.count("12,288 MiB, of which one process can have 11,848 MiB") == 1
    assert "RTX 3060 (11,848 MiB for one process, of which 384 MiB (estimated) for the CUDA context)" in page
    assert "card 11,848" in page
    assert "budget 12,288" not in page


def test_of_too_many_candidates_the_best_are_shown_and_it_is_said(monkeypatch):
    comparison = page_data.full(5)
    selection, answers = page_selection.selection(comparison), page_data.answers(comparison, 3)
    monkeypatch.setattr(page_module, "MOST_CANDIDATES", 2)
    monkeypatch.setattr(page_module, "MOST_PROMPTS", 2)
    page = page_of(comparison, selection=selection, answers=answers)
    best = list(dict.fromkeys(option.candidate.name for option in selection.ranking))[:2]
    assert "This page shows 2 of 5 candidates" in page
    assert {row["candidate"] for row in Document(page).rows("candidate", "parameters")} == set(best)
    assert set(re.findall('<h3>([^<]*)</h3>\n<dl class="answers">', page)) == set(best)
    assert "These are the first 2 of 3 prompts" in page
    assert page.count('<details class="prompt">') == 2
    monkeypatch.setattr(page_module, "MOST_CANDIDATES", 5)
    assert "This page shows" not in page_of(comparison, selection=selection, answers=answers)


def test_overfitted_models_are_named():
    comparison = page_data.full()
    names = [f"{each.case.candidate} {each.case.variant}" for each in comparison.records if each.quality.is_overfitted]
    assert names
    assert f"Overfitted: {', '.join(names)}" in page_of(comparison)


def test_what_is_left_out_of_an_excluded_option_is_not_its_mark():
    comparison = page_data.full()
    page = page_of(comparison, selection=page_selection.selection(comparison))
    quality = re.search(r'<section id="quality".*?</section>', page, re.DOTALL)[0]
    bound = sum(not row.candidate.free_license for row in comparison.rows)
    assert bound == 4
    assert quality.count('class="point excluded"') == 2 * 3 * bound + 1  # two drawings, three variants, the legend
    assert 'class="point choice on-front"' in quality


def test_answers_stand_prompt_by_prompt_and_equal_prompts_apart():
    answers = {
        Case("two", "inference"): [GivenAnswer("r", "c")],
        Case("one", "fine_tuning", "dora"): [GivenAnswer("q", "d")],
        Case("one", "fine_tuning", "r16"): [GivenAnswer("q", "a1"), GivenAnswer("p", "b"), GivenAnswer("q", "a2")],
        Case("one", "inference"): [GivenAnswer("q", "u")],
    }
    found = by_prompt(answers, ["one"], ["r16", "dora"], {Case("one", "inference"): [41.0]})
    assert [prompt for prompt, _ in found] == ["q", "p", "q", "r"]
    given = [(variant, given.answer, score) for variant, (given, score) in found[0][1]["one"].items()]
    assert given == [(None, "u", 41.0), ("r16", "a1", None), ("dora", "d", None)]
    assert {name: list(by_variant) for name, by_variant in found[2][1].items()} == {"one": ["r16"]}


def test_cut_off_and_graded_answers_say_so():
    given = [GivenAnswer("q", "so and", is_cut_off=True, grade="하"), GivenAnswer("p", " ", is_cut_off=False)]
    page = page_of(page_data.full(1), answers={answering_case("x", None): given})
    assert page.count("✂ cut off") == 1
    assert page.count("grade 하") == 1
    assert page.count("(empty)") == 1


def test_answers_stand_beside_the_datasets_own_with_their_scores():
    comparison = page_data.full(1)
    page = page_of(comparison, answers=page_data.answers(comparison, 2))
    answers = re.search(r'<section id="answers".*?</section>', page, re.DOTALL)[0]
    assert answers.count("the dataset&#39;s own") == 2
    assert answers.count("surface score") == 2 * 4


def test_a_foreign_environment_is_shown_as_it_is():
    deep = {}
    for _ in range(5000):
        deep = {"deeper": [deep]}
    page = page_of(page_data.full(1), environment={"shards": [{"folder": "a"}], "started_utc": 5, "deep": deep})
    rows = {row["setting"]: row["value"] for row in Document(page).rows("setting", "value")}
    assert rows["shards / 1 / folder"] == "a"
    assert rows["started_utc"] == "5"


def test_records_that_know_nothing_have_a_page():
    required = {"protocol", "protocol_hash", "protocol_changes", "dataset_sha256", "budget_mib", "versions"}
    nothing = {name: None for name in PATHS if name not in required}
    records = page_data.with_troubles().records
    bare = [replace(each, plan=None) if each.case.is_planned else changed(each, **nothing) for each in records]
    Document(page_of(page_data.compared(bare, page_data.candidates())))
