"""What is collected, in which order, under which names; and that it costs next to nothing."""

import sys

import pytest

MEASURED = ["benches/bench_inference.py", "benches/bench_fine_tuning.py"]
SEED = [
    "gemma-2-2b-it",
    "koquality-polyglot-1.3b",
    "gemma-ko-v01",
    "polyglot-ko-1.3b",
    "llama1B",
    "KoAlpaca-KoRWKV-1.5B",
    "FinguAI-Chat-v1",
]


def collected(result):
    return [line.partition("::")[2] for line in result.outlines if "::" in line]


def test_the_main_job_has_28_cases_and_their_plans_each_candidates_together(suite):
    expected = []
    for name in SEED:
        expected.append(f"bench_plan[{name}-inference]")
        expected += [f"bench_plan[{name}-r{rank}]" for rank in (16, 32, 64)]
        expected.append(f"bench_inference[{name}]")
        expected += [f"bench_fine_tuning[{name}-r{rank}]" for rank in (16, 32, 64)]
    assert collected(suite.runpytest("benches", "--collect-only", "-q")) == expected


def test_k_chooses_candidates(suite):
    result = suite.runpytest("benches", "--collect-only", "-q", "-k", "gemma and r64 and fine")
    assert collected(result) == ["bench_fine_tuning[gemma-2-2b-it-r64]", "bench_fine_tuning[gemma-ko-v01-r64]"]


def test_k_plan_chooses_the_plans(suite):
    result = suite.runpytest("benches", "--collect-only", "-q", "-k", "plan and llama", "--lora-ranks", "8")
    assert collected(result) == ["bench_plan[llama1B-inference]", "bench_plan[llama1B-r8]"]


def test_groups_and_ranks(suite):
    result = suite.runpytest(
        *MEASURED, "--collect-only", "-q", "--candidate-group", "all", "--lora-ranks", "8, 4", "-k", "Qwen3-0 or kanana"
    )
    assert collected(result) == [
        "bench_inference[kanana-1.5-2.1b-instruct-2505]",
        "bench_fine_tuning[kanana-1.5-2.1b-instruct-2505-r8]",
        "bench_fine_tuning[kanana-1.5-2.1b-instruct-2505-r4]",
        "bench_inference[Qwen3-0.6B]",
        "bench_fine_tuning[Qwen3-0.6B-r8]",
        "bench_fine_tuning[Qwen3-0.6B-r4]",
    ]


def test_candidates_are_chosen_by_their_exact_names_from_every_group(suite):
    chosen = ("benches/bench_inference.py", "--collect-only", "-q")
    both = suite.runpytest(*chosen, "--candidate", "Qwen3-0.6B, llama1B")
    assert collected(both) == ["bench_inference[llama1B]", "bench_inference[Qwen3-0.6B]"]
    (suite.path / "pytest.ini").write_text((suite.path / "pytest.ini").read_text() + "\ncandidate = Qwen3-1.7B\n")
    assert collected(suite.runpytest(*chosen)) == ["bench_inference[Qwen3-1.7B]"]
    by_group = suite.runpytest(*chosen, "--candidate-group", "seed")
    assert len(collected(by_group)) == len(SEED)


def test_a_command_line_option_goes_before_its_ini_setting(suite, write_candidates):
    path = write_candidates()
    settings = (suite.path / "pytest.ini").read_text() + f"\ncandidates = {path}\nlora_ranks = 2\n"
    (suite.path / "pytest.ini").write_text(settings)
    assert collected(suite.runpytest(*MEASURED, "--collect-only", "-q")) == [
        "bench_inference[small]",
        "bench_fine_tuning[small-r2]",
    ]
    result = suite.runpytest(*MEASURED, "--collect-only", "-q", "--lora-ranks", "3")
    assert collected(result) == ["bench_inference[small]", "bench_fine_tuning[small-r3]"]


def test_collecting_imports_nothing_heavy_and_leaves_nothing_behind(suite):
    (suite.path / "conftest.py").write_text(
        (suite.path / "conftest.py").read_text()
        + "\nimport sys\n\ndef pytest_unconfigure():\n"
        + "    print('HEAVY', [m for m in ('torch', 'transformers', 'peft', 'pandas') if m in sys.modules])\n"
    )
    result = suite.run(sys.executable, "-m", "pytest", "benches", "--collect-only", "-q")
    assert "HEAVY []" in result.outlines
    assert not (suite.path / "results").exists()


def test_a_session_without_benches_is_left_alone(pytester, monkeypatch):
    pytester.makeconftest("pytest_plugins = ['ohlora_fixtures.plugin']")
    pytester.makepyfile(
        "import pytest\n@pytest.fixture\ndef candidate(): return 1\ndef test_it(candidate): assert candidate"
    )
    result = pytester.runpytest("--candidates", "none.toml")
    result.assert_outcomes(passed=1)
    assert not (pytester.path / "results").exists()


def test_benches_in_a_virtual_environment_are_not_asked_for(pytester):
    pytester.makeconftest("pytest_plugins = ['ohlora_fixtures.plugin']")
    installed = pytester.mkdir("env")
    installed.joinpath("pyvenv.cfg").touch()
    installed.joinpath("bench_plan.py").touch()
    assert pytester.runpytest("--candidates", "none.toml").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert pytester.runpytest("env", "--candidates", "none.toml").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("module", ["shipped.benches", "shipped.benches.bench_plan", "shipped.benches.bench_plan::any"])
def test_benches_are_asked_for_by_the_names_of_their_modules(pytester, module):
    pytester.makeconftest("pytest_plugins = ['ohlora_fixtures.plugin']")
    for name in ("__init__", "benches/__init__", "benches/bench_plan"):
        path = pytester.path / "site" / "shipped" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    pytester.syspathinsert("site")
    assert pytester.runpytest("--pyargs", module, "--candidates", "none.toml").ret == pytest.ExitCode.USAGE_ERROR


def test_a_module_without_benches_is_left_alone(pytester):
    pytester.makeconftest("pytest_plugins = ['ohlora_fixtures.plugin']")
    result = pytester.runpytest("--pyargs", "json.tool", "--candidates", "none.toml")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize("option", ["--candidates", "--protocol", "--vram-budget", "--allow-remote-code"])
def test_help_explains_the_options(suite, option):
    assert option in suite.runpytest("--help").stdout.str()
