"""What the page's charts draw: axes, shortened names, stacks, curves, spread, colours."""

import re
from dataclasses import replace
from pathlib import Path

import page_data
import pytest
from made import changed

from ohlora_fixtures.report.page import svg
from ohlora_fixtures.report.page.losses import points_of
from ohlora_fixtures.report.page.memory import parts_of
from ohlora_fixtures.report.page.svg import texture
from ohlora_fixtures.report.page.times import Spread, spread

CSS = Path(svg.__file__).parent / "templates" / "page.css"


@pytest.mark.parametrize("name", ["rising", "falling", "upright", "level", "dots", "grid"])
def test_a_texture_stays_within_its_bar(name):
    path = str(texture(name, (100.0, 131.0), 20.0, 12.0))
    points = [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)", path)]
    ends = [(x + float(right), y + float(down)) for (x, y), (right, down) in zip(points, moves(path), strict=True)]
    assert len(points) > 1
    assert all(100 <= x <= 131 and 20 <= y <= 32 for x, y in points + ends)
    assert texture("rising", (100.0, 102.0), 20.0, 12.0) is None


def moves(path):
    """How far each line of a path goes to the right and down."""
    for x, move in re.findall(r"M([\d.]+) [\d.]+([lvhH][^M\"]*)", path):
        kind, figures = move[0], [float(each) for each in re.findall(r"-?[\d.]+", move)]
        yield {"l": figures, "v": [0, *figures], "h": [*figures, 0], "H": [figures[0] - float(x), 0]}[kind]


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


def test_a_long_name_loses_its_middle():
    assert svg.fitted("short", 100) == "short"
    shown = svg.fitted("koquality-polyglot-1.3b-with-a-long-name-v01", 200)
    assert shown.startswith("koquality")
    assert shown.endswith("v01")
    assert svg.width_of(shown) <= 200


def test_a_planned_peaks_parts_add_up_to_it():
    plan = page_data.plan_only(1).records[1].plan
    assert sum(mib for _, mib in parts_of(plan)) == pytest.approx(plan.peak_device_mib)
    unheard_of = replace(plan, breakdown_mib={"base_weights": 100.0, "quantised": 50.0}, peak_reserved_mib=180.0)
    assert dict(parts_of(unheard_of))["allocator"] == 80.0
    assert parts_of(replace(plan, breakdown_mib=None)) == []


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
    marks = ["weights", "adapter", "activations", "logits", "allocator", "context", "whole", "accent", "warn", "muted"]
    for name in [*marks, *(f"series-{number}" for number in range(5))]:
        assert contrast(colours[name], colours["panel"]) >= 3, name
