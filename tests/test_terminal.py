"""What a person or a log sees of a session while it runs and when it ends, in real pytest sessions."""

import pytest
from at_a_terminal import output_of

from ohlora_fixtures.session import devices, preflight

BENCH = """
import time
from dataclasses import replace
from ohlora_fixtures.base.messages import verbatim
from ohlora_fixtures.meters.memory import MemoryReading
from ohlora_fixtures.results.record import Assessment, Environment, Measured
from ohlora_fixtures.session.records import CaseFailure

def bench_fine_tuning(draft, candidate, variant):
    time.sleep({seconds})
    peak = {{8: 9120.4, 16: 12900.0, 32: None}}[variant.rank]
    seconds = None if variant.rank == 32 else 58.72
    draft.environment = Environment({{}}, scale="full", device="NVIDIA T4", weights="hub")
    draft.measured = Measured(tokenizer="own", seconds=seconds, memory=MemoryReading(peak_device_mib=peak))
    draft.quality = Assessment({quality})
    if variant.rank == 16:
        raise CaseFailure("over_budget", verbatim("it is too large"))
    if variant.rank == 32:
        raise CaseFailure("out_of_memory", verbatim("memory ran out"), Measured())
"""
WITHOUT_TORCH = """
from ohlora_fixtures.results.record import Environment
from ohlora_fixtures.session import devices, preflight

pytest_plugins = ["ohlora_fixtures.plugin"]
preflight.check = lambda *_: []
devices.environment_ahead = lambda _: Environment({}, "mini", "hub")
"""
PASSED, OVER, FULL = (f"bench_it.py::bench_fine_tuning[tiny-r{rank}]" for rank in (8, 16, 32))


@pytest.fixture
def bench(suite, tiny, monkeypatch):
    """Writes a bench whose cases say what they came to, at once or after so many seconds; gives the command for it."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(preflight, "check", preflight.check)  # both are restored after a session in this process
    monkeypatch.setattr(devices, "environment_ahead", devices.environment_ahead)
    (suite.path / "conftest.py").write_text(WITHOUT_TORCH)

    def write(seconds=0, quality=""):
        (suite.path / "bench_it.py").write_text(BENCH.format(seconds=seconds, quality=quality))
        command = ["bench_it.py", "--candidates", tiny(), "--lora-ranks", "8,16,32", "--results-dir", "out"]
        return [*command, "-p", "no:hypothesispytest"]  # each session would import it, which takes longer than all else

    return write


LINES = [
    f"{PASSED} PASSED (58.7 s, peak 9,120 MiB of 12,288)",
    f"{OVER} FAILED (over budget, 58.7 s, peak 12,900 MiB of 12,288)",
    f"{FULL} FAILED (out of memory)",
]


def line_a_case(output):
    """A log's lines of cases, without how much of the session they are."""
    return [line.partition(" [")[0].rstrip() for line in output.splitlines() if line.startswith("bench_it.py::")]


def test_a_log_has_a_line_a_case_and_its_summary_pytests_own_words(suite, bench):
    result = suite.runpytest(*bench(), "-rA")
    result.assert_outcomes(passed=1, failed=2)
    assert line_a_case(result.stdout.str()) == LINES
    lines = result.stdout.lines
    assert [line for line in lines if line.startswith(("PASSED", "FAILED"))] == [
        f"PASSED {PASSED}",
        f"FAILED {OVER} - CaseFailure: it is too large",
        f"FAILED {FULL} - CaseFailure: memory ran out",
    ]
    assert "tiny       only r8  9,120  12,900  OOM  58.7  58.7    -  0.00 B  -        apache-2.0" in lines
    assert "\x1b" not in result.stdout.str()


def test_verbose_has_everything_and_a_line_a_case_as_always(suite, bench):
    usual, verbose = (suite.runpytest(*bench(), *more).stdout.str() for more in (["-s"], ["-v", "--results-dir", "2"]))
    for told in ("excluded: tiny r16", "budget 12288 MiB, protocol "):
        assert [told in text for text in (usual, verbose)] == [False, True]
    assert line_a_case(usual) == line_a_case(verbose) == LINES


def test_quiet_is_dots_table_choice_and_folder(suite, bench):
    result = suite.runpytest(*bench(), "-q", "--tb=no")
    result.assert_outcomes(passed=1, failed=2)
    output = result.stdout.str()
    assert output.startswith(".FF ")
    assert line_a_case(output) == []
    ending = output.partition(" comparison ")[2].partition("\n")[2].splitlines()
    assert ending[0].startswith("candidate  verdict")
    told = ["tiny", "measured", "No", "Next:", "results:"]
    assert [line.split()[0] for line in ending[3:] if line.strip() and line[0] != " "][:5] == told


def test_without_pytests_terminal_nothing_is_told_and_all_is_written(suite, bench):
    result = suite.runpytest(*bench(), "-p", "no:terminal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str() == ""
    assert "| tiny |" in (suite.path / "out" / "comparison.md").read_text(encoding="utf-8")


def test_colour_is_pytests_to_give(suite, bench):
    painted = suite.runpytest(*bench(), "--color=yes").stdout.str()
    assert "tiny       \x1b[33monly r8\x1b[0m  9,120" in painted
    assert "\x1b[1mNo recommendation yet" in painted
    for path in (suite.path / "out").iterdir():
        assert "\x1b" not in path.read_text(encoding="utf-8")


def test_workers_have_a_line_a_case_too(suite, bench):
    result = suite.runpytest_subprocess(*bench(), "-n", "1", "--dist", "loadgroup")
    ended = [line.rstrip() for line in result.stdout.lines if line.startswith("[gw0] [")]
    assert ended[: len(LINES)] == [
        f"[gw0] [{percent:3}%] {told} {case}"
        for percent, (case, _, told) in zip((33, 66, 100), (line.partition(" ") for line in LINES), strict=True)
    ]


ERASED = "\x1b7\x1b[K\x1b8"
LEFT = f"\x1b7\x1b[K under a minute left\x1b8{ERASED}"


def test_a_terminal_has_dots_and_is_told_what_is_left_once_that_is_known(suite, bench, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    output = output_of(suite, *bench(seconds=0.1))
    assert line_a_case(output) == []
    green, red, end = "\x1b[32m", "\x1b[31m", "\x1b[0m"
    assert f"bench_it.py {green}.{end}{LEFT}{LEFT}{red}F{end}{LEFT}{LEFT}{red}F{end}" in output
    assert "\x1b7" not in output.partition(" comparison ")[2]


def test_a_terminal_of_a_ci_is_a_log_and_what_it_cannot_hold_spoils_no_other_line(suite, bench, monkeypatch):
    for name, value in {"TERM": "xterm", "CI": "true", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    output = output_of(suite, *bench(quality="score=90.0, grade='최상'"))
    assert line_a_case(output) == LINES
    assert "\x1b" not in output
    lines = output.partition(" comparison ")[2].splitlines()
    assert lines[1].split()[:3] == ["candidate", "verdict", "grade"]
    assert lines[4].split()[:4] == ["tiny", "only", "r8", "\\ucd5c\\uc0c1"]
    assert lines[5] == ""
