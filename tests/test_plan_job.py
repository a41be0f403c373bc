"""`pytest benches -k plan` through real pytest sessions."""

import json
import os
import shutil

import pytest
from made import flat_records

SHORT = ["--protocol", "epochs=2"]


@pytest.fixture
def plan(suite, tiny):
    """Runs the plan of the tiny candidate; gives pytest's result and the records."""

    def run(*arguments, start=suite.runpytest_forked):
        folder = suite.path / "out"
        shutil.rmtree(folder, ignore_errors=True)
        arguments = ["-k", "plan", "--candidates", tiny(), "--results-dir", folder, *arguments]
        result = start("benches", *arguments)
        return result, flat_records(folder) if folder.exists() else []

    return run


def test_a_plan_from_command_to_table_and_once_more(plan, suite):
    (suite.path / "conftest.py").write_text(
        "import sys\n"
        "pytest_plugins = ['ohlora_fixtures.plugin']\n"
        "def pytest_unconfigure():\n"
        "    print('HEAVY', sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))\n"
    )
    result, records = plan("-v", "--gpu-profile", "t4", *SHORT, start=suite.runpytest_subprocess)
    result.assert_outcomes(passed=4, deselected=4)
    assert [record["case"] for record in records] == [
        f"bench_plan[tiny-{x}]" for x in ("inference", "r16", "r32", "r64")
    ]
    assert [record["workload"] for record in records] == ["inference", *["fine_tuning"] * 3]
    assert [record["variant"] for record in records] == [None, "r16", "r32", "r64"]
    for record in records:
        assert (record["is_planned"], record["outcome"], record["scale"]) == (True, "passed", "full")
        assert record["weights"] is None
        assert (record["device"], record["gpu_profile"], record["tokenizer"]) == ("Tesla T4", "t4", "estimated")
        assert record["peak_device_mib"] == record["peak_reserved_mib"] + record["context_mib"]
        assert record["needs_device_mib"] == record["needs_mib"] + record["context_mib"]
        assert record["peak_allocated_mib"] <= record["needs_mib"] <= record["peak_reserved_mib"]
        assert 0 < record["allocated_after_mib"] <= record["peak_allocated_mib"] <= record["peak_reserved_mib"]
        assert sum(record["breakdown_mib"].values()) == pytest.approx(record["peak_allocated_mib"])
        assert record["losses"] is record["tokens"] is None
        assert 0 < record["seconds_low"] < record["seconds"] < record["seconds_high"]
        assert (record["seconds_basis"], record["seconds_a_step"] is None) == ("measured", record["variant"] is None)
        assert record["parameters"] == 3229952
    inference, low, middle, high = records
    assert inference["trainable_parameters"] is None
    assert (2 * low["trainable_parameters"], 4 * low["trainable_parameters"]) == (
        middle["trainable_parameters"],
        high["trainable_parameters"],
    )
    assert low["peak_allocated_mib"] < middle["peak_allocated_mib"] < high["peak_allocated_mib"]
    assert [record["advice"] is None for record in records] == [True, False, True, True]
    assert low["advice"]["largest_batch"] > 4
    assert low["advice"]["largest_rank"] > 64
    assert low["advice"]["checkpointing_saves_mib"] > 0

    output = result.stdout.str()
    assert "HEAVY ['numpy', 'torch', 'transformers']" in output
    assert "What else would fit into 12288 MiB, with r16, batch 4" in output
    assert "REHEARSAL" not in output
    page = (suite.path / "out" / "comparison.md").read_text(encoding="utf-8")
    assert "## What the planned peak is made of" in page
    assert "| tiny | r64 |" in page

    again, kept = plan("--gpu-profile", "t4", *SHORT, start=suite.runpytest_subprocess)
    assert "HEAVY []" in again.stdout.str()
    assert kept == records


def test_kernels_of_other_packages_are_left_alone_where_they_are_installed(suite, tiny, monkeypatch):
    """A package's kernel takes no tensors without data: the plan is the one that is made where it is not installed."""
    mamba = {"model_type": "mamba", "hidden_size": 64, "state_size": 8, "num_hidden_layers": 2, "vocab_size": 8000}
    file = tiny(mamba, parameters=748736, target_modules=["in_proj"])

    def planned(name):
        folder = suite.path / name
        suite.runpytest_forked("benches", "-k", "plan and r16", "--candidates", file, "--results-dir", folder, *SHORT)
        (record,) = flat_records(folder)
        return {key: record[key] for key in ("outcome", "without_kernels", "needs_mib", "peak_allocated_mib", "work")}

    plain = planned("plain")
    functions = {
        "causal_conv1d": ["causal_conv1d_fn", "causal_conv1d_update"],
        "mamba_ssm": ["mamba_inner_fn", "selective_scan_fn", "selective_state_update"],
    }
    for package, names in functions.items():
        refusing = [f"def {name}(*_, **__): raise RuntimeError" for name in names]
        suite.makepyfile(**{f"installed/{package}": "\n".join([f"open({package!r}, 'w')", *refusing])})
    monkeypatch.setenv("PYTHONPATH", str(suite.path / "installed"), prepend=os.pathsep)
    shutil.rmtree(suite.path / ".pytest_cache")
    assert planned("beside them") == plain
    assert (plain["outcome"], plain["without_kernels"]) == ("passed", ["causal-conv1d", "mamba-ssm"])
    assert all((suite.path / package).exists() for package in functions)  # transformers has taken them for installed


def test_what_a_plan_depends_on_makes_it_anew_and_a_torn_file_too(plan, suite):
    one = ["-k", "plan and inference"]
    _, before = plan(*one)
    folder = suite.path / ".pytest_cache" / "d" / "ohlora-plans"
    (kept,) = folder.iterdir()
    kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
    _, again = plan(*one)
    assert again == before
    assert list(folder.iterdir()) == [kept]
    _, changed = plan(*one, "--protocol", "max_length=200")
    assert changed[0]["peak_allocated_mib"] > before[0]["peak_allocated_mib"]
    assert len(list(folder.iterdir())) == 2


OWN_CARD = """
[[gpu]]
name = "mine"
card = ["Card of mine"]
compute_capability = "8.6"
memory_mib = 12288
cublas_workspace_bytes = 8519680
native_bf16 = true
attention = "fused"
context_mib = 450
context_basis = "measured"
context_source = "nvidia-smi"
"""


@pytest.mark.parametrize(
    ("usable", "budget", "reason"),
    [
        ("", "480MiB", "above the VRAM budget of 480.00 MiB"),
        ("usable_mib = 480", "24GB", "above the 480.00 MiB that one process can have of the card"),
    ],
)
def test_a_plan_above_the_budget_or_a_card_of_ones_own_fails_in_one_sentence(plan, suite, usable, budget, reason):
    (suite.path / "mine.toml").write_text(OWN_CARD + usable)
    result, records = plan("-v", "--vram-budget", budget, "--gpu-profile", "mine.toml", *SHORT)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [record["outcome"] for record in records] == ["passed", *["over_budget"] * 3]
    assert (records[0]["device"], records[0]["gpu_profile"], records[0]["context_mib"]) == ("Card of mine", "mine", 450)
    assert records[1]["reason"].endswith(reason)
    assert records[1]["advice"]["largest_batch"] == 0
    output = " ".join(result.stdout.str().split())
    assert "What else would fit into 480 MiB" in output
    least = min(each["needs_device_mib"] for each in records[1]["changes"]["added"])
    assert records[2]["changes"] is records[3]["changes"] is records[1]["changes"]["enough"] is None
    assert "tiny would not fit in r16 even with batch 1 x 4 + " in output
    assert f": it needs at least {least:.0f} MiB of 480" in output
    (told,) = json.loads((suite.path / "out" / "selection.json").read_text(encoding="utf-8"))["would_fit"]
    assert (told["candidate"], told["from_variant"], told["enough"]) == ("tiny", "r16", None)
    if usable:
        beyond = "budget 24576 MiB, of which one process can have 480 MiB."
        page = (suite.path / "out" / "comparison.md").read_text(encoding="utf-8")
        assert beyond in page
        assert beyond in output


def test_candidates_that_cannot_be_built_do_not_stop_the_others(suite, tiny, tmp_path):
    tables = [tiny().read_text(encoding="utf-8")]
    broken = {
        "unknown": {"model_type": "gpt17"},
        "headless": {"num_attention_heads": 0},
        "sizeless": {"hidden_size": "big"},
    }
    for name, change in broken.items():
        tables.append(tiny(change, name=name, config=f"configs/{name}.json").read_text(encoding="utf-8"))
        (tmp_path / "configs" / "tiny.json").rename(tmp_path / "configs" / f"{name}.json")
    path = tiny()
    path.write_text("".join(tables), encoding="utf-8")
    result = suite.runpytest_forked("benches", "-k", "plan and inference", "--candidates", path, "--results-dir", "out")
    result.assert_outcomes(passed=1, failed=3, deselected=28)
    records = {record["candidate"]: record for record in flat_records(suite.path / "out")}
    assert records.pop("tiny")["outcome"] == "passed"
    for name, record in records.items():
        assert record["outcome"] == "error"
        says = "is gpt17, which transformers " if name == "unknown" else "cannot be "
        assert record["reason"].startswith(f"{name} {says}")
        assert "\n" not in record["reason"]


def test_a_rehearsal_shows_the_plan_beside_it(suite, tiny):
    result = suite.runpytest_forked(
        "benches", "-k", "r16", "--candidates", tiny(), "--results-dir", "out", "--protocol", "epochs=1"
    )
    result.assert_outcomes(passed=2, deselected=6)
    output = result.stdout.str()
    assert "REHEARSAL" in output
    planned = next(each for each in flat_records(suite.path / "out") if each["is_planned"])
    assert f"tiny       fits     {planned['needs_device_mib']:.0f} " in output  # and none of the rehearsal's own
    assert "planned for the default card: name yours with --gpu-profile NAME" in output
    assert "planned at full size for a Quadro M6000, budget 12288 MiB, of which one process" in output


def test_two_workers_plan(plan):
    result, records = plan("-n", "2", "--dist", "loadgroup", *SHORT)  # the workers import for themselves
    result.assert_outcomes(passed=4)
    assert sorted(str(record["variant"]) for record in records) == ["None", "r16", "r32", "r64"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OWN_CARD.replace("context_mib = 450\n", ""), "has neither context_mib nor multiprocessors"),
        (OWN_CARD.replace('"fused"', '"fast"'), "has attention = 'fast', which must be 'math' or 'fused'"),
        (OWN_CARD.replace('"8.6"', "8.6"), "has compute_capability = 8.6, which must be a text such as '8.6'"),
        (OWN_CARD + OWN_CARD.replace("mine", "other"), "has 2 [[gpu]] tables: give --gpu-profile a file with one"),
        ("gpu = 1", "must consist of [[gpu]] tables"),
        ("[", "is not valid TOML"),
    ],
)
def test_a_card_that_cannot_be_used(suite, text, says):
    (suite.path / "mine.toml").write_text(text)
    result = suite.runpytest("benches", "--gpu-profile", "mine.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str()


def test_an_unknown_card(suite):
    result = suite.runpytest("benches", "--gpu-profile", "gtx")
    result.stderr.fnmatch_lines(["*GPU profile 'gtx' is unknown: the nearest are gtx1080ti; *"])


def test_the_cards_are_listed(suite):
    result = suite.runpytest("benches", "--gpu-profile", "list")
    assert result.ret == pytest.ExitCode.OK
    lines = result.stdout.str().splitlines()
    assert [line.split()[0] for line in lines if " M6000 " in line or " RTX 5080 " in line] == ["m6000", "rtx5080"]
    assert max(map(len, lines)) <= 100
