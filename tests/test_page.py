"""`report.html` as text: what it says in every state, in both languages, and that nothing in it is obeyed."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import page_changes
import page_data
import page_selection
import pytest
from made import changed

from ohlora_fixtures.base.messages import LANGUAGES, language_of, verbatim
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.report import page as page_module
from ohlora_fixtures.report import words
from ohlora_fixtures.report.page import html
from ohlora_fixtures.report.words import texts
from ohlora_fixtures.results.answers import GivenAnswer

STATES = {
    "full": page_data.full,
    "one": lambda: page_data.full(1),
    "seventeen": lambda: page_data.full(17),
    "long names": lambda: page_data.full(7, name_length=60),
    "long variants": lambda: page_data.full(2, names=("r16-qlora", "dora-r32-gradient-checkpointing", "v" * 60)),
    "troubles": page_data.with_troubles,
    "rehearsal": page_data.rehearsal,
    "plan only": page_data.plan_only,
    "too large": page_changes.too_large,
    "empty": page_data.empty,
}
VOID = {"meta", "br", "img", "link", "input", "hr"}
HOSTILE = "<script>alert(1)</script>\u202e<img src=x onerror=alert(2)>\x1b[31m\"'&amp;"


def page_of(comparison, language="en", selection=None, answers=None, environment=page_data.ENVIRONMENT):
    return html(comparison, selection or page_selection.nothing(comparison), answers or {}, environment, language)


def whole(comparison, language="en", prompts=page_data.PROMPTS):
    """A page with all there is for it."""
    is_judged = any(record.quality.score is not None for record in comparison.records)
    selection = page_selection.selection(comparison) if is_judged else None
    return page_of(comparison, language, selection, page_data.answers(comparison, prompts))


class Document(HTMLParser):
    """What a page is made of; fails on a tag that is not closed where it ought to be."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self.tables, self._open = [], [], [], []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def rows(self, *heads):
        """The rows of the one table with these first heads, by head."""
        (table,) = [table for table in self.tables if tuple(table[0][: len(heads)]) == heads]
        return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


@pytest.fixture(scope="module", params=[(state, language) for state in STATES for language in LANGUAGES], ids="-".join)
def page(request):
    state, language = request.param
    return whole(STATES[state](), language)


@pytest.fixture(scope="module")
def document(page):
    return Document(page)


def test_a_page_is_one_well_formed_file_that_loads_and_runs_nothing(page, document):
    assert {tag for tag, _ in document.elements} & {"script", "img", "link", "iframe", "object", "form"} == set()
    addresses = [value for _, said in document.elements for name, value in said.items() if name in ("href", "src")]
    assert {address[0] for address in addresses} == {"#"}
    assert not [name for _, said in document.elements for name in said if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page


def test_every_link_leads_somewhere_and_no_name_is_given_twice(document):
    names = [said["id"] for _, said in document.elements if "id" in said]
    assert len(names) == len(set(names))
    assert {said["href"][1:] for said in document.all("a")} - set(names) == set()


def test_headings_are_in_order(document):
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_drawing_is_described_and_can_stand_alone(page):
    drawings = re.findall(r"<svg.*?</svg>", page)
    for text in drawings:
        said = ET.fromstring(text).attrib
        assert said.get("aria-label") if said.get("role") == "img" else said["aria-hidden"] == "true"


def test_every_section_with_drawings_has_their_numbers_as_a_table(page):
    for section in re.findall(r"<section id=.*?\n</section>", page, re.DOTALL):
        assert '<figure class="panel">' not in section or "<tbody>" in section


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_full_matrix_takes_less_than_2_mb(language):
    comparison = page_data.full(17)
    answers = {
        case: [replace(each, answer="한" * 80) for each in given]
        for case, given in page_data.answers(comparison).items()
    }
    assert sum(map(len, answers.values())) == 17 * 4 * 25
    page = page_of(comparison, language, page_selection.selection(comparison), answers)
    assert len(page.encode()) < 2e6


def test_what_others_wrote_is_text():
    comparison = page_data.full(2)
    name = comparison.rows[0].candidate.name
    candidate = replace(comparison.rows[0].candidate, name=HOSTILE, binding_license=HOSTILE, card_license=HOSTILE)
    hostile = {"reason": HOSTILE, "device": HOSTILE, "outcome": "error", "protocol_hash": HOSTILE}
    hostile |= {"protocol_changes": [HOSTILE], "versions": {HOSTILE: HOSTILE}, "protocol": {HOSTILE: [HOSTILE]}}
    of_measured = {
        "taints": [HOSTILE],
        "not_judged": HOSTILE,
        "quality_grade": HOSTILE,
        "quality_parts": {HOSTILE: 0.5},
    }
    of_plan = {"breakdown_mib": {HOSTILE: 5.0}}
    records = [
        replace(
            changed(each, **hostile | (of_plan if each.case.is_planned else of_measured)),
            case=replace(each.case, candidate=HOSTILE, variant=each.case.variant and HOSTILE),
        )
        if each.case.candidate == name
        else each
        for each in comparison.records
    ]
    comparison = page_data.compared(records, [candidate, comparison.rows[1].candidate], notes=(verbatim(HOSTILE),))
    chosen = page_selection.selection(page_data.full(2))
    option = replace(chosen.choice, candidate=candidate, variant=HOSTILE)
    selection = replace(
        chosen, choice=option, unknown=(verbatim(HOSTILE),), agreement=(verbatim(HOSTILE),), bases={HOSTILE: HOSTILE}
    )
    excluded = replace(chosen.excluded[0], candidate=HOSTILE, reason=verbatim(HOSTILE))
    selection = replace(selection, excluded=(excluded,))
    given = GivenAnswer(HOSTILE, f"{HOSTILE}\nin two lines", grade=HOSTILE)
    answers = {answering_case(HOSTILE, variant): [given] for variant in (None, HOSTILE)}
    environment = {HOSTILE: HOSTILE, "started_utc": HOSTILE, "gpus": [{HOSTILE: [HOSTILE]}]}
    page = page_of(comparison, "ko", selection, answers, environment)
    document = Document(page)
    tags = {tag for tag, _ in document.elements}
    assert tags & {"script", "img"} == set()
    assert not {name for _, said in document.elements for name in said} & {"onerror", "src"}
    assert re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page) is None
    text = "".join(document.text)
    assert text.count("<script>alert(1)</script><img src=x onerror=alert(2)>[31m\"'&amp;") > 25
    assert "&amp;\nin two lines" in text


def test_every_text_is_in_both_languages_with_the_same_values_in_it():
    for key, said in texts().items():
        assert set(said) == set(LANGUAGES), key
        assert len({frozenset(re.findall(r"\{(\w*)\}", said[language])) for language in LANGUAGES}) == 1, key


def test_every_text_that_is_asked_for_exists_and_none_exists_that_nobody_asks_for(monkeypatch):
    asked = set()
    speak = words.Say.__call__
    monkeypatch.setattr(words.Say, "__call__", lambda say, key, **values: asked.add(key) or speak(say, key, **values))
    for make in STATES.values():
        whole(make())
    comparison = page_data.full()
    chosen = page_selection.selection(comparison, any_license=True)
    capped = [
        changed(
            each,
            weights="random",
            protocol_changes=["epochs 1"],
            protocol={"fine_tuning_rows": "120:140"},
            dataset_rows=3000,
            **{} if each.case.is_planned else {"cap_mib": 1.0},
        )
        for each in comparison.records
    ]
    unknown = ("seconds", "seconds_each", "steady_median_seconds", "losses", "quality_score", "untuned_held_out_loss")
    unknown += ("held_out_loss", "taints", "peak_reserved_mib", "peak_device_mib")
    bare = dict.fromkeys(unknown) | {"outcome": "skipped", "peak_rss_growth_mib": 1.0}
    bare_plan = dict.fromkeys(("peak_device_mib", "needs_device_mib", "breakdown_mib", "peak_reserved_mib"))
    bare_plan["outcome"] = "skipped"
    quality = replace(chosen.choice.quality, source="person", is_tuned=False)
    option = replace(chosen.choice, quality=quality)
    bases = {"fine_tuning_memory": "planned peak_device_mib", "inference_memory": "allocated_after_mib"}
    lacking = {"ranking": (), "shifts": (), "front": ()}
    candidates = [row.candidate for row in comparison.rows]
    parts = dict.fromkeys(("stray_beginning", "echo", "off_topic", "matched", "expected"), 0.5)
    for grade in ("최상", "하", "최하"):
        records = [
            each if each.case.is_planned else changed(each, quality_grade=grade, quality_parts=parts) for each in capped
        ]
        page_of(
            page_data.compared(records, candidates), selection=replace(chosen, choice=option, bases=bases, **lacking)
        )
    judged = replace(option, quality=replace(quality, source="judge"))
    page_of(comparison, selection=replace(chosen, choice=judged, reserve=replace(option, quality=None)))
    page_of(comparison, selection=replace(chosen, choice=replace(option, untuned=quality)))
    published = replace(option, quality=replace(quality, source="published"))
    page_of(comparison, selection=replace(chosen, choice=published))
    on_a_cpu = [changed(each, device="cpu (x86_64)") for each in comparison.measured]
    page_of(page_data.compared(on_a_cpu, candidates))
    lacking = [changed(each, **bare_plan if each.case.is_planned else bare) for each in comparison.records]
    page_of(page_data.compared(lacking, candidates))
    failed = [changed(each, outcome="failed") for each in page_data.rehearsal().measured]
    page_of(page_data.compared(failed, candidates))
    limits = {"usable_mib": 11848.0, "usable_basis": "assumed", "context_basis": "estimated"}
    page_of(page_data.compared([changed(each, **limits) for each in comparison.plans], candidates))
    over = [changed(each, peak_device_mib=10**5, needs_device_mib=None) for each in comparison.plans]
    page_of(page_data.compared(over, candidates))
    for korean in ("no", "unknown"):
        page_of(page_data.compared(comparison.records, [replace(each, korean=korean) for each in candidates]))
    monkeypatch.setattr(page_module, "MOST_CANDIDATES", 2)
    monkeypatch.setattr(page_module, "MOST_PROMPTS", 2)
    whole(comparison)
    assert {key for key in asked ^ texts().keys() if not key.startswith("column.")} == set()  # the table's has its own


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LANG": "KO_kr"}, "ko"),
        ({"LANG": "kok_IN.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "ko_KR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "", "LC_MESSAGES": "ko_KR"}, "ko"),
        ({"LC_ALL": "ko_KR.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LANG": "en"}, "ko"),
    ],
)
def test_the_language_is_the_locales(environ, language):
    assert language_of(environ) == language


@pytest.mark.parametrize(
    ("comparison", "marks"),
    [
        (page_data.full(1), []),
        (page_data.rehearsal(1), ["REHEARSAL"]),
        (page_data.plan_only(1), ["PLAN ONLY"]),
        (page_data.empty(), ["NO RESULTS"]),
        (page_data.with_troubles(), ["CAPPED"]),
        (
            page_data.compared(
                [changed(each, weights="random") for each in page_data.full(1).records], page_data.candidates()
            ),
            ["RANDOM WEIGHTS"],
        ),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
def test_what_nobody_may_miss_stands_on_a_strip_and_in_a_banner(comparison, marks):
    page = page_of(comparison)
    strips = re.findall(r'<p class="strip">(.*?)</p>', page)
    assert [re.findall("<strong>(.*?)</strong>", strip) for strip in strips] == ([marks] if marks else [])
    assert re.findall(r'<p class="banner"><strong>(.*?)</strong>', page) == marks


def test_a_replicas_time_and_memory_are_in_no_chart_and_marked_where_they_stand():
    comparison = page_data.rehearsal(2)
    record = comparison.rows[0].cell("r16").measured
    odd = changed(record, seconds=4321.0, steady_median_seconds=8765.0, seconds_each=None, peak_rss_growth_mib=7654.0)
    records = [odd if each is record else each for each in comparison.records]
    page = page_of(page_data.compared(records, page_data.candidates(2)))
    for figure in ("4,321", "8,765", "7,654"):
        assert page.count(figure) == 1
    assert page.count("These are mini replicas.") == 1  # all figures
    missing = re.search(r'<section id="missing".*?</section>', page, re.DOTALL)[0]
    assert re.findall("<li>(.*?):", missing) == ["Quality against cost", "Loss"]
    heading = page.index("Figures of mini replicas, which do not compare")
    assert heading < min(page.index(figure) for figure in ("4,321", "8,765", "7,654"))
    memory = re.search(r'<section id="memory".*?</section>', page, re.DOTALL)[0]
    assert "measured" not in memory
    assert "mini replicas" not in memory
