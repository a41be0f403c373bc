"""What the page's charts draw: axes, shortened names, stacks, curves, spread, colours."""

import re
from pathlib import Path

import page_data
import page_selection
import pytest
from made import changed

from ohlora_fixtures.report.page import memory, svg, times
from ohlora_fixtures.report.page.losses import points_of
from ohlora_fixtures.report.page.times import Spread, spread
from ohlora_fixtures.report.words import Say

CSS = Path(svg.__file__).parent / "templates" / "page.css"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 12288, (0, 5000, 10000, 15000)),
        (0, 5, (0, 1, 2, 3, 4, 5)),
        (0, 0, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (41, 79, (40, 50, 60, 70, 80)),
        (-3, 3, (-4, -2, 0, 2, 4)),
    ],
)
def test_an_axis_has_round_ticks_that_hold_its_figures(low, high, ticks):
    along = svg.scale(low, high, 0, 100)
    assert along.ticks == pytest.approx(ticks)
    assert (along(along.low), along(along.high), along(1e9), along(-1e9)) == (0, 100, 100, 0)


@pytest.mark.parametrize("figures", [(0, 5e-324), (12, 12 + 2e-15), (-1e308, 1e308), (1e308, 1.5e308)])
def test_figures_at_the_ends_of_what_a_float_can_be_have_an_axis(figures):
    along = svg.scale(*figures, 0, 100)
    assert along.low < along.high
    assert all(0 <= along(figure) <= 100 for figure in figures)


def test_a_long_name_loses_its_middle():
    assert svg.fitted("short", 100) == "short"
    shown = svg.fitted("koquality-polyglot-1.3b-with-a-long-name-v01", 200)
    assert shown.startswith("koquality")
    assert shown.endswith("v01")
    assert svg.width_of(shown) <= 200


def test_every_candidate_and_variant_stands_on_one_axis_with_the_cards_line():
    comparison = page_data.full(3)
    selection = page_selection.selection(comparison)
    (chart,) = memory.figure(comparison, selection, Say("en")).bars
    assert [(name, [bar.name for bar in bars]) for name, bars in chart.groups] == [
        (row.candidate.name, ["r16", "r32", "r64", "inference"]) for row in comparison.rows
    ]
    assert chart.lines == [(chart.scale(page_data.BUDGET_MIB), "budget 12,288", True)]
    first = chart.bars[0]
    plan, record = (each.cell("r16") for each in comparison.rows[:1] for _ in range(2))
    assert [kind for _, kind in first.lengths] == ["takes", "needs", "measured"]
    assert first.lengths[1][0] == plan.plan.plan.needs_device_mib < first.lengths[0][0]
    assert first.said == f"{record.measured.peak_device_mib:,.0f}"
    assert set(chart.standings.values()) == {"excluded", "final choice"}
    runs, prompts = times.figure(comparison, selection, Say("en")).bars
    assert (len(runs.bars), len(prompts.bars)) == (9, 3)


def test_seconds_of_a_cpu_are_marked_as_such():
    comparison = page_data.full(1)
    on_a_cpu = [changed(each, device="cpu (x86_64, 2 cores)") for each in comparison.measured]
    found = page_data.compared(on_a_cpu, page_data.candidates(1))
    figure = times.figure(found, page_selection.nothing(found), Say("en"))
    assert figure.notes == (
        "These are seconds of a CPU. They say nothing of a card's, and did not count in the choice.",
    )
    assert {(bar.more, bar.lengths[0][1]) for chart in figure.bars for bar in chart.bars} == {("on the CPU", "cpu")}


def test_a_long_runs_curve_is_drawn_as_means():
    assert points_of([3.0, None, 1.0]) == [(1, 3.0), (3, 1.0)]
    assert points_of([float("nan"), 2.0]) == [(2, 2.0)]
    long = points_of([float(step) for step in range(1000)])
    assert len(long) == 143
    assert long[0] == (7, 3.0)
    assert long[-1] == (1000, 996.5)


def test_spread_leaves_the_warm_up_out():
    record = page_data.full(1).rows[0].cell(None).measured
    times = [9.0, 1.0, 2.0, 3.0]
    assert spread(changed(record, seconds_each=times)) == Spread(1.5, 2.0, 2.5)
    assert spread(changed(record, seconds_each=None, steady_median_seconds=2.0, steady_iqr_seconds=1.0)) == Spread(
        1.5, 2.0, 2.5
    )
    assert spread(changed(record, seconds_each=[9.0], steady_median_seconds=None)) is None


def luminance(colour):
    """WCAG 2.2's relative luminance."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """WCAG 2.2's contrast ratio."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_stand_out_from_their_background(theme):
    css = CSS.read_text(encoding="utf-8")
    roots = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", root)) for root in roots)
    colours = light if theme == "light" else light | dark
    marks = ["whole", "accent", "warn", "muted"]
    for name in [*marks, *(f"series-{number}" for number in range(5))]:
        assert contrast(colours[name], colours["panel"]) >= 3, name
