"""What is too long, too large or no file at all ends in one sentence of at most 400 characters, at once."""

import os
import sys
from functools import partial

import pytest
from test_wrong_input import USAGE_ERROR

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.base import csv_files
from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.files import MIB, read_object
from ohlora_fixtures.base.installation import REFERENCE
from ohlora_fixtures.base.units import parse_size_mib
from ohlora_fixtures.commands.leaderboard import read_leaderboard
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import parse_protocol
from ohlora_fixtures.inputs.variants import read_variants, variants_of_ranks
from ohlora_fixtures.quality.grades import read_grades
from ohlora_fixtures.results.answers import read_answers
from ohlora_fixtures.results.folder import read_records

LONG, DIGITS = "n" * 300, "9" * 5000
READERS = {
    "dataset.csv": read_dialogues,
    "answers.csv": read_answers,
    "grades.csv": lambda path: read_grades([path]),
    "candidates.toml": read_candidates,
    "variants.toml": read_variants,
    "gpu.toml": read_profiles,
    "records.jsonl": lambda path: read_records(path.parent),
    "board.csv": read_leaderboard,
    "board.json": read_leaderboard,
    "board.jsonl": read_leaderboard,
}


def refused(read, *given):
    with pytest.raises(InputError) as refusal:
        read(*given)
    assert len(str(refusal.value)) <= 400
    return str(refusal.value)


@pytest.mark.skipif(sys.platform == "win32", reason="a system without /dev and named pipes")
@pytest.mark.parametrize("name", READERS)
def test_neither_a_device_nor_a_pipe_is_waited_for(tmp_path, name):
    path = tmp_path / name
    for make in (lambda: path.symlink_to("/dev/zero"), partial(os.mkfifo, path), path.mkdir):
        make()
        said = refused(READERS[name], path)
        is_grades_folder = name == "grades.csv" and path.is_dir()
        reasons = ("a device or a pipe", "has no CSV file" if is_grades_folder else "Is a directory")
        assert any(reason in said for reason in reasons), said
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_several_gb_is_refused_with_the_limit(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(5 * 1024 * MIB)  # a hole takes no room
    assert "MiB, the most that is read" in refused(READERS[name], tmp_path / name)
    assert read_object(tmp_path / name) is None


def test_a_table_of_too_many_rows_is_refused_with_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "MOST_ROWS", 3)
    (tmp_path / "a.csv").write_text("data_type,input_data,output_data\n" + "train,a,b\n" * 2)
    assert len(read_dialogues(tmp_path / "a.csv").usable_train_rows) == 2
    (tmp_path / "a.csv").write_text("data_type,input_data,output_data\n" + "train,a,b\n" * 3)
    assert "has more than 3 rows, the most that is read" in refused(read_dialogues, tmp_path / "a.csv")


@pytest.mark.parametrize(
    "text",
    [f"a = {DIGITS}", f"a = {'[' * 100_000}", f"a{'.a' * 100_000} = 1", "a = 2026-99-99", "a = '\ud800'"],
    ids=["digits", "nested", "dotted", "date", "surrogate"],
)
def test_toml_that_tomllib_itself_stumbles_over_is_not_valid(tmp_path, text):
    (tmp_path / "a.toml").write_text(text, encoding="utf-8", errors="surrogatepass")
    assert "is not valid TOML" in refused(read_candidates, tmp_path / "a.toml")


@pytest.mark.parametrize("text", ["[" * 100_000, f'{{"model_type": {DIGITS}}}', "\0", "[]"])
def test_an_architecture_that_is_none_is_told_with_its_candidate(tmp_path, write_candidates, text):
    path = write_candidates()
    (tmp_path / "configs" / "small.json").write_text(text, encoding="utf-8")
    assert "candidate 'small' in " in refused(read_candidates, path)


@pytest.mark.parametrize("config", [LONG, "a\0b", "../" * 60, "configs"])
def test_an_architecture_at_a_path_that_cannot_be_is_told(write_candidates, config):
    assert "candidate 'small' in " in refused(read_candidates, write_candidates(config=config))


@pytest.mark.parametrize(
    ("read", "given"),
    [
        (partial(variants_of_ranks, ()), DIGITS),
        (parse_size_mib, DIGITS),
        (parse_size_mib, f"{DIGITS}GB"),
        (lambda text: parse_protocol([text]), f"epochs={DIGITS}"),
        (lambda text: parse_protocol([text]), f"learning_rate={DIGITS}"),
        (lambda text: parse_protocol([text]), f"prompt_rows=0:{DIGITS}"),
        (lambda text: parse_protocol([text]), f"{DIGITS} {DIGITS}"),
        (lambda text: parse_protocol([text]), "a b " * 500),
    ],
)
def test_a_long_value_is_shortened_where_it_is_quoted(read, given):
    said = refused(read, given)
    assert said.count("9") <= 240


@pytest.mark.parametrize("option", ["gpu-profile", "model-dir", "resume", "results-dir", "grades", "benchmark-compare"])
def test_a_name_that_no_file_can_have_is_no_internal_error(suite, option):
    result = suite.runpytest("benches", "-k", "plan and finguai", "--collect-only", f"--{option}={LONG}")
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    is_read_later = option in ("results-dir", "benchmark-compare")  # where something is run
    assert result.ret == (pytest.ExitCode.OK if is_read_later else USAGE_ERROR)


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", LONG],
        ["report", str(REFERENCE), "--grades", LONG],
        ["report", str(REFERENCE), "--into", LONG],
        ["merge", str(REFERENCE), "--into", LONG],
        ["candidates", f"{LONG}.csv"],
        ["candidates", "none.csv", "--into", LONG],
        ["candidates", "none.csv", "--configs", LONG],
    ],
)
def test_commands(arguments, capsys):
    assert main(arguments) == 2
    assert len(capsys.readouterr().err) <= 410
