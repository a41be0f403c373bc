"""`report.html` as a browser shows it: nothing logged, nothing too wide, everything legible, markup stays text."""

import page_data
import page_selection
import pytest
from browser import CHROMIUM, Browser
from test_page import HOSTILE, STATES, whole

from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.report.page import html
from ohlora_fixtures.results.answers import GivenAnswer

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is not looked at")

PHONE, DESK = 390, 1440

OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"

TOO_WIDE = """
(() => {
  const name = each => `${each.tagName}.${each.getAttribute('class') || ''} ${each.textContent.trim().slice(0, 40)}`;
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push(`page: ${document.documentElement.scrollWidth}`);
  for (const each of document.body.querySelectorAll(':not(.skip, .scroll *, svg *)')) {
    const box = each.getBoundingClientRect();
    if (box.left < -1 || box.right > innerWidth + 1) found.push(name(each));
    const isWider = each.clientWidth && each.scrollWidth > each.clientWidth + 1;
    if (isWider && !each.matches('.scroll')) found.push(`within ${name(each)}`);
  }
  for (const each of document.querySelectorAll('figure text')) {
    const box = each.getBoundingClientRect(), drawing = each.ownerSVGElement.getBoundingClientRect();
    if (box.left < drawing.left - 1 || box.right > drawing.right + 1) found.push(name(each));
  }
  return found;
})()
"""
"""What reaches beyond the screen, its container or its drawing; tables may scroll in their own."""

ILLEGIBLE = """
(() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = colour => {
    const linear = channels(colour).slice(0, 3).map(each => each / 255)
      .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = each => {
    for (; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const each = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || each.closest('title')) continue;
    const style = getComputedStyle(each), inDrawing = each.closest('svg');
    const pair = [luminance(inDrawing ? style.fill : style.color), luminance(behind(each))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    const scale = inDrawing ? inDrawing.getBoundingClientRect().width / inDrawing.viewBox.baseVal.width : 1;
    const size = parseFloat(style.fontSize) * scale;
    if (ratio < 4.5) found.add(`${each.getAttribute('class')}: contrast ${ratio.toFixed(2)}`);
    if (size < 10.5) found.add(`${each.tagName} ${each.getAttribute('class')}: ${size.toFixed(1)} pixels`);
  }
  return [...found];
})()
"""
"""Text of less contrast than WCAG 2.2 AA asks for (1.4.3), or too small to read."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a page in the browser, every part unfolded."""

    def open_page(page, width=DESK, *, is_dark=False):
        path = tmp_path / "report.html"
        path.write_text(page, encoding="utf-8")
        browser.view(width, is_dark=is_dark)
        browser.open(path)
        browser.evaluate(OPEN_ALL)
        return browser

    return open_page


@pytest.mark.parametrize(
    ("state", "language"),
    [
        ("full", "ko"),
        ("one", "en"),
        ("seventeen", "en"),
        ("long names", "ko"),
        ("long variants", "en"),
        ("troubles", "ko"),
        ("troubles", "en"),
        ("rehearsal", "en"),
        ("plan only", "ko"),
        ("empty", "en"),
    ],
)
def test_nothing_overflows_on_a_phone_or_a_desk_and_nothing_is_logged(show, state, language):
    browser = show(whole(STATES[state](), language, prompts=8), PHONE)
    assert browser.evaluate("innerWidth") == PHONE
    assert browser.evaluate(TOO_WIDE) == []
    browser.view(DESK)
    assert browser.evaluate("innerWidth") == DESK
    assert browser.evaluate(TOO_WIDE) == []
    assert browser.messages == []


@pytest.mark.parametrize(("state", "width"), [("troubles", PHONE), ("rehearsal", DESK)])
def test_every_text_can_be_read_in_both_themes(show, state, width):
    browser = show(whole(STATES[state](), "ko", prompts=2), width)
    for is_dark, colour in ((False, "rgb(246, 247, 249)"), (True, "rgb(17, 21, 26)")):
        browser.view(width, is_dark=is_dark)
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == colour
        assert browser.evaluate(ILLEGIBLE) == []


def test_markup_in_an_answer_stays_text(show):
    comparison = page_data.full(1)
    answers = {answering_case(comparison.rows[0].candidate.name, None): [GivenAnswer(HOSTILE, f"first\n{HOSTILE}")]}
    browser = show(html(comparison, page_selection.selection(comparison), answers, {"command": HOSTILE}, "en"))
    said = browser.evaluate("document.querySelector('.answers dd').innerText")
    assert said == "first\n<script>alert(1)</script><img src=x onerror=alert(2)>[31m\"'&amp;"
    assert browser.evaluate("document.querySelectorAll('script, img').length") == 0
    assert browser.messages == []


def test_not_even_a_script_that_got_in_would_run(show):
    page = html(page_data.full(1), page_selection.selection(page_data.full(1)), {}, None, "en")
    browser = show(page.replace("</main>", "<script>document.title = 'run'</script></main>"))
    assert browser.evaluate("document.title") != "run"
    assert any("Content Security Policy" in str(message) for message in browser.messages)


def test_a_screen_reader_is_told_what_is_where(show):
    browser = show(whole(page_data.full(1), "ko"))
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    roles = [role for role, _ in found]
    assert {"banner", "navigation", "main", "contentinfo"} <= set(roles)
    assert browser.evaluate("document.documentElement.lang") == "ko"
    named = {"image", "region", "navigation", "link"}
    assert [role for role, name in found if role in named and not name] == []


def test_printed_everything_is_unfolded_on_white(show, browser):
    show(html(page_data.full(2), page_selection.selection(page_data.full(2)), {}, None, "ko"), is_dark=True)
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = false)")
    browser.view(794, is_dark=True, media="print")
    hidden = "[...document.querySelectorAll('details td')].filter(each => !each.checkVisibility()).length"
    assert browser.evaluate(hidden) == 0
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF-")
    assert b"/Subtype /Image" not in pdf  # a bitmap where there was a drawing: slow to print, and large
