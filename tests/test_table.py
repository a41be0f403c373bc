"""How a session ends on a terminal: one table as wide as it, what that leaves out, and what is said below it."""

from dataclasses import replace

import pytest
from choices import judged
from made import made
from test_report import CANDIDATES, VARIANTS, comparison_of, record

from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, select
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.report import choice
from ohlora_fixtures.report.files import closing
from ohlora_fixtures.report.layout import Terminal, filled, width_of
from ohlora_fixtures.report.notes import REHEARSAL
from ohlora_fixtures.report.table import verdict_of
from ohlora_fixtures.report.words import cut
from ohlora_fixtures.results.comparison import compare

RANKS = (16, 32, 64)
WIDTHS = range(80, 201)
GEMMA, LLAMA = "gemma-2-2b-it", "llama1B"
OF_A_REPLICA = {"scale": "mini", "weights": "random", "peak_device_mib": None, "peak_rss_growth_mib": 3.5}
OUT_OF_MEMORY = {"outcome": "out_of_memory", "reason": "full", "seconds": None}
OVER = {"outcome": "over_budget", "reason": "too much", "peak_device_mib": 12288.01}
ERROR = {"outcome": "error", "reason": "cannot be loaded", "seconds": None, "peak_device_mib": None}


def planned(candidate=GEMMA, rank=16, **changes):
    facts = {"device": "Quadro M6000", "peak_device_mib": 8000.0, "scale": "full", "tokenizer": "own"}
    return made(candidate, None if rank is None else f"r{rank}", is_planned=True, **facts | changes)


def every(make, candidates=CANDIDATES, **changes):
    """Each candidate's four cases."""
    return [make(candidate.name, rank, **changes) for candidate in candidates for rank in (None, *RANKS)]


def compared(records, candidates=CANDIDATES):
    """Without the study's figures."""
    return compare(candidates, VARIANTS, records, {})


LONG = [replace(each, name=f"{number:02}-{'긴이름' * 10}{'x' * 22}-1.3B") for number, each in enumerate(CANDIDATES)]
"""Names of 60 characters, half of them two columns wide."""
SESSIONS = {
    "measured and planned": comparison_of(*every(record), *every(planned)),
    "seventeen long names": compared(every(record, LONG), LONG),
    "planned": compared(every(planned)),
    "rehearsed": comparison_of(*every(record, **OF_A_REPLICA), *every(planned)),
    "rehearsed alone": compared(every(record, **OF_A_REPLICA)),
    "capped and tainted": compared(every(record, cap_mib=11788.0, taints=["another process"])),
    "failed": compared(every(record, **ERROR | {"reason": f"{'x' * 200} 모델이 없습니다 " * 3})),
    "nothing": compared([]),
    "two devices": compared([record(device="NVIDIA T4"), record(LLAMA, device="NVIDIA GeForce RTX 3060")]),
}


def text_of(found, width=80, verbosity=0, qualities=None, paint=None):
    """All that a terminal is told in the end, the choice included."""
    terminal = Terminal(width, verbosity, **({"paint": paint} if paint else {}))
    selection = select(found, qualities or {}, DEFAULT_WEIGHTS, any_license=False)
    return f"{closing(found, selection, terminal)}\n\n{choice.terminal(selection, terminal)}"


def cells(text, name):
    """A row of the table, by its candidate."""
    return next(line.split() for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize("found", SESSIONS.values(), ids=SESSIONS)
def test_whatever_the_width_there_is_one_table_that_fits_and_lacks_nothing_unsaid(found):
    selection = select(found, {}, DEFAULT_WEIGHTS, any_license=False)
    names = [row.candidate.name[:3] for row in found.rows]
    for width in WIDTHS:
        terminal = Terminal(width)
        lines = f"{closing(found, selection, terminal)}\n{choice.terminal(selection, terminal)}".split("\n")
        assert [line for line in lines if width_of(line) > width] == []
        rules = [number for number, line in enumerate(lines) if line.startswith("---")]
        assert len(rules) == (1 if found.rows else 0)
        for rule in rules:
            end = lines.index("", rule)
            assert [line[:3] for line in lines[rule + 1 : end]] == names
            left_out = " ".join(lines[end : lines.index("", end + 1)]).partition("not shown for lack of room: ")[2]
            assert any("licence" in line for line in lines[:rule]) != ("licence" in left_out)


def test_a_measured_session_at_80_columns():
    found = comparison_of(*every(record, CANDIDATES[:2]), *every(planned, CANDIDATES[:2]))
    qualities = {answering_case("koquality-polyglot-1.3b", "r16"): [judged(85.0, "person")]}
    assert (
        text_of(found, 80, -1, qualities)
        == """\
candidate                verdict  grade    r16    r32    r64   r16   r32   r64
                                           MiB    MiB    MiB     s     s     s
-----------------------  -------  -----  -----  -----  -----  ----  ----  ----
gemma-2-2b-it            fits     -      9,000  9,000  9,000  60.0  60.0  60.0
koquality-polyglot-1.3b  fits     최상   9,000  9,000  9,000  60.0  60.0  60.0

measured on NVIDIA T4, budget 12288 MiB. MiB: most memory on the device; s: of
  the whole fine-tuning, or of one prompt; grade: by a person
not shown for lack of room: seconds (prompt), MiB (prompt), size, Ko-LLM
  average, licence, the plan, the study's figures; -v, report.html and
  comparison.md have all

Final choice: koquality-polyglot-1.3b r16 (최상 by a person, total 71.0 of 100)
Reserve: none, no other candidate meets the conditions and is judged"""
    )


def test_a_wider_terminal_shows_more_until_nothing_is_left_out():
    found = comparison_of(*every(record, CANDIDATES[:2]), *every(planned, CANDIDATES[:2]))
    widths = [len(cells(text_of(found, width), GEMMA)) for width in WIDTHS]
    assert widths == sorted(widths)
    assert "not shown" not in text_of(found, 240)
    row = cells(text_of(found, 240), GEMMA)
    assert row[-12:] == ["8,000"] * 4 + ["58.7", "63.0", "67.0", "4.03", "5,249", "5,553", "5,969", "4,987"]
    assert "study: as published, on a Colab T4, its MiB after the run and not the peak" in text_of(found, 240)


@pytest.mark.parametrize(
    ("records", "word"),
    [
        ([record(peak_device_mib=12288.0)], "fits"),
        ([record(**OVER)], "over"),
        ([record(**OUT_OF_MEMORY)], "over"),
        ([record(), record(rank=32, **OVER)], "only r16"),
        ([record(), record(rank=32), record(rank=64, **OUT_OF_MEMORY)], "only r16/r32"),
        ([record(rank=None), record(rank=16, **OVER)], "over"),
        ([record(rank=None, **OVER), record()], "over"),
        ([record(rank=None)], "fits"),
        ([record(rank=None), record(LLAMA)], "only inference"),
        ([record(**ERROR)], "failed"),
        ([record(), record(rank=32, **ERROR)], "only r16"),
        ([record(**ERROR), record(rank=32, **OVER)], "over"),
        ([record(rank=None, **ERROR), record()], "failed"),
        ([record(peak_device_mib=None)], "not judged"),
        ([record(peak_device_mib=None), planned()], "fits"),
        ([record(peak_device_mib=None), planned(**OVER)], "over"),
        ([record(), planned(**OVER)], "fits"),
        ([record(**OVER), planned()], "over"),
        ([record(**ERROR), planned()], "failed"),
        ([record(outcome="skipped", reason="-", peak_device_mib=None), planned()], "fits"),
        ([planned(outcome="error", reason="cannot be planned", peak_device_mib=None)], "failed"),
    ],
)
def test_the_verdict_is_a_word(records, word):
    found = compared(records)
    assert verdict_of(found.rows[0], found.variants) == word
    assert f"{GEMMA}  {word}  " in text_of(found)


def test_many_variants_that_fit_are_counted():
    many = [made(GEMMA, f"a-variant-{number}", scale="full", peak_device_mib=9000.0) for number in range(5)]
    over = made(GEMMA, "r64", scale="full", **OVER)
    found = compared([*many, over])
    assert verdict_of(found.rows[0], found.variants) == "only 5 of 6"


def test_verdicts_and_the_choice_are_painted_and_stand_where_they_stand_without():
    found = compared([record(), record(LLAMA, **OVER), record("Qwen3-0.6B"), record("Qwen3-0.6B", 32, **OVER)])
    seen = {}

    def paint(text, look):
        seen.setdefault(look, []).append(text)
        return f"<{look}>{text}</>"

    painted, plain = text_of(found, paint=paint), text_of(found)
    assert (seen["green"], seen["red"], seen["yellow"]) == (["fits"], ["over"], ["only r16"])
    assert seen["bold"][0].startswith("No recommendation yet: no model's answers are judged")
    for look in seen:
        painted = painted.replace(f"<{look}>", "")
    assert painted.replace("</>", "") == plain


def test_what_did_not_come_to_a_figure_is_a_word_and_what_was_not_measured_is_marked_as_planned():
    oom = record(rank=32, **OUT_OF_MEMORY)
    text = text_of(compared([record(), oom, planned(rank=64), record(LLAMA, **ERROR), planned(LLAMA)]))
    assert cells(text, GEMMA)[1:9] == ["only", "r16/r64", "9,000", "OOM", "~8,000", "60.0", "-", "-"]
    assert cells(text, LLAMA)[1:6] == ["failed", "error", "-", "-", "-"]
    assert "~: planned; OOM: out of memory" in text
    assert "out of memory: bench_fine_tuning[gemma-2-2b-it-r32]: full" in text


def test_a_replicas_figures_do_not_stand_beside_those_of_the_full_size():
    rehearsed = comparison_of(*every(record, CANDIDATES[:1], **OF_A_REPLICA), *every(planned, CANDIDATES[:1]))
    text = text_of(rehearsed, 160)
    assert text.startswith("REHEARSAL")
    assert "planned at full size for a Quadro M6000, budget 12288 MiB. MiB: least memory on the device" in text
    assert cells(text, GEMMA)[1:8] == ["fits", "8,000", "8,000", "8,000", "8,000", "2.61", "B"]
    assert "60.0" not in text
    alone = text_of(SESSIONS["rehearsed alone"])
    assert cells(alone, GEMMA)[1:] == ["not", "judged", "4", "4", "4", "60.0", "60.0", "60.0"]
    assert "MiB: growth of the process's resident set" in alone.replace("\n ", "")


OF_THE_DEFAULT_CARD = {
    "gpu_profile": "m6000",
    "budget_mib": 24576.0,
    "usable_mib": 7000.0,
    "usable_basis": "estimated",
    "context_basis": "estimated",
    "context_mib": 141.0,
}


def test_the_default_card_is_said_to_be_that_and_a_budget_beyond_a_card_to_be_beyond_it():
    found = comparison_of(*every(planned, CANDIDATES[:1], **OF_THE_DEFAULT_CARD))
    text = text_of(found, 300, 1)
    assert text.startswith("planned for the default card: name yours with --gpu-profile NAME; --gpu-profile list shows")
    beyond = "budget 24576 MiB, of which one process can have 7000 MiB (estimated)"
    assert text.count(beyond) == 2  # below the table, and with the protocol
    assert "141 MiB (estimated) are for the CUDA context" in text
    assert cells(text, GEMMA)[1] == "over"
    named = comparison_of(*every(planned, CANDIDATES[:1], gpu_profile="t4", usable_mib=14906.0))
    assert "default card" not in text_of(named)
    assert "one process" not in text_of(named, 300, 1)


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_a_rehearsal_and_a_capped_card_are_marked_however_little_is_asked_for(verbosity):
    rehearsed = text_of(SESSIONS["rehearsed"], 80, verbosity, paint=lambda text, look: f"<{look}>{text}</>")
    assert rehearsed.replace("\n", "").replace("</><yellow> ", "").startswith(f"<yellow>{REHEARSAL}</>")
    assert "capped" in text_of(SESSIONS["capped and tainted"], 80, verbosity)


def test_quiet_has_no_notes_and_verbose_has_all():
    found = comparison_of(
        *every(record, CANDIDATES[:1], protocol_changes=["epochs 1 instead of 10"], taints=["another process"]),
        *every(planned, CANDIDATES[:1]),
    )
    quiet, usual, verbose = (text_of(found, 300, verbosity) for verbosity in (-1, 0, 1))
    for note in (
        "the protocol differs from the study's: epochs 1",
        "tainted (*): another process",
        "excluded, no free",
    ):
        assert [note in text for text in (quiet, usual, verbose)] == [False, True, True]
    for note in ("budget 12288 MiB, protocol 0123456789ab", "plan: what the full-size", "measured: NVIDIA T4"):
        assert [note in text for text in (quiet, usual, verbose)] == [False, False, True]
    for text in (quiet, usual, verbose):
        assert "No recommendation yet: no candidate meets the conditions" in text.splitlines()


def test_reasons_are_for_the_verbose_and_nothing_follows_the_choice():
    found = compared([record("polyglot-ko-1.3b"), record("Qwen3-0.6B")])
    qualities = {answering_case(name, None): [judged(50.0)] for name in ("polyglot-ko-1.3b", "Qwen3-0.6B")}
    quiet, usual, verbose = (text_of(found, 300, verbosity, qualities) for verbosity in (-1, 0, 1))
    assert ["weights: quality=5" in text for text in (quiet, usual, verbose)] == [False, False, True]
    assert ["not known for any candidate, so not counted" in text for text in (quiet, usual, verbose)] == [
        False,
        True,
        True,
    ]
    for text in (quiet, usual, verbose):
        assert [line.partition(":")[0] for line in text.splitlines()[-2:]] == [
            "Final choice",
            "Reserve",
        ]


def test_a_note_takes_three_lines_unless_all_is_asked_for():
    usual = text_of(SESSIONS["failed"])
    note = usual[usual.index("\nerror: ") + 1 :].split("\n\n")[0].splitlines()
    assert len(note) == 3
    assert note[0].startswith(f"error: bench_inference[gemma-2-2b-it] and {4 * len(CANDIDATES) - 1} more: xxx")
    assert note[-1].endswith("… (-v: all)")
    assert "… (-v" not in text_of(SESSIONS["failed"], verbosity=1)


def test_grades_that_differ_by_rank_are_all_told():
    free = [each for each in CANDIDATES if each.free_license][:2]
    found = compared([*every(record, free)])
    names = [each.name for each in free]
    graded = {
        answering_case(names[0], "r16"): [judged(50.0)],
        answering_case(names[0], "r64"): [judged(90.0)],
        answering_case(names[1], None): [judged(70.0)],
    }
    text = text_of(found, 120, qualities=graded)
    assert [cells(text, name)[2] for name in names] == ["중/-/최상", "상"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abc", 3),
        ("최상", 4),
        ("e\u0301", 1),
        ("\u110e\u116c\u1109\u1161\u11bc", 4),  # the same two syllables, by their letters
        ("…", 1),
        ("👩\u200d🚀", 4),
        ("", 0),
    ],
)
def test_a_hangul_syllable_takes_two_columns(text, columns):
    assert width_of(text) == columns


def test_a_long_name_loses_its_middle_and_keeps_its_end():
    assert cut("HyperCLOVAX-SEED-Text-Instruct-0.5B", 35, width_of) == "HyperCLOVAX-SEED-Text-Instruct-0.5B"
    assert cut("HyperCLOVAX-SEED-Text-Instruct-0.5B", 25, width_of) == "HyperCLOVAX-SEED…uct-0.5B"
    for width in range(20, 60):
        assert width - 2 <= width_of(cut("가나다라마바사아자차카타파하" * 3, width, width_of)) <= width


@pytest.mark.parametrize("width", range(20, 60))
def test_lines_are_filled_by_their_columns_wherever_a_word_has_to_break(width):
    text = f"{'가' * 70} {'나다라 ' * 30}{'x' * 90} 끝"
    lines = filled(text, width).split("\n")
    assert max(map(width_of, lines)) in (width, width - 1)
    assert "".join("".join(lines).split()) == "".join(text.split())
