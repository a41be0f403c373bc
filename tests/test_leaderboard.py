"""Leaderboards' exports: their columns, formats and rows, and what is wrong with them."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from exports import KO_HEADS, anchor, ko_row, open_llm_row, write_csv

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.commands.leaderboard import read_leaderboard, repository


def test_the_open_llm_leaderboards_contents_are_read(tmp_path):
    row = open_llm_row("Qwen/Qwen2.5-0.5B-Instruct", 8.14, 0.494, **{"Base Model": "Qwen/Qwen2.5-0.5B"})
    (model,) = read_leaderboard(write_csv(tmp_path, list(row), [row])).models
    assert (model.repo, model.average, model.billions) == ("Qwen/Qwen2.5-0.5B-Instruct", 8.14, 0.494)
    assert (model.card_license, model.base) == ("apache-2.0", "Qwen/Qwen2.5-0.5B")
    assert (model.architecture, model.languages) == ("Qwen2ForCausalLM", "")


def test_the_open_ko_llm_leaderboards_table_is_read(tmp_path):
    (model,) = read_leaderboard(write_csv(tmp_path, KO_HEADS, [ko_row("EleutherAI/polyglot-ko-1.3b", 29.95)])).models
    assert (model.repo, model.average, model.billions) == ("EleutherAI/polyglot-ko-1.3b", 29.95, 1.3)


@pytest.mark.parametrize(
    "heads",
    [
        ("Model", "Average ⬆️", "#Params (B)", "Hub License"),
        ("model", "AVERAGE", "params (b)", "license"),
        ("full_name", "avg.", "#Params(B)", "Licence"),
        ("Model ID", "Average score", "Parameters (B)", "hub_license"),
    ],
)
def test_spellings_of_the_columns_vary(tmp_path, heads):
    path = write_csv(tmp_path, heads, [dict(zip(heads, ("a/b", "1.5", "0.5", "mit"), strict=True))])
    (model,) = read_leaderboard(path).models
    assert (model.repo, model.average, model.billions, model.card_license) == ("a/b", 1.5, 0.5, "mit")


def test_fullname_goes_before_model_and_the_exact_average_before_others(tmp_path):
    row = {"Model": "🔶", "Average (old)": 1, "fullname": "a/b", "Average": 2, "#Params (B)": 1, "Hub License": "mit"}
    (model,) = read_leaderboard(write_csv(tmp_path, list(row), [row])).models
    assert (model.repo, model.average) == ("a/b", 2.0)


@pytest.mark.parametrize(
    ("missing", "named"),
    [("Model", "fullname or Model"), ("Average ⬆️", "Average"), ("#Params (B)", r"#Params \(B\)"), ("Hub License",) * 2],
)
def test_a_missing_column_is_named_with_those_there_are(tmp_path, missing, named):
    heads = [head for head in KO_HEADS if head != missing]
    with pytest.raises(InputError, match=rf"lacks the column '{named}'; its columns are 'T', .*'Merged'"):
        read_leaderboard(write_csv(tmp_path, heads, [ko_row("a/b", 1.0)]))


ROWS = [ko_row("a/b", 1.0), ko_row("c/d", 2.0)]
IN_JSON = {
    "objects": ROWS,
    "data": {"data": ROWS},
    "rows of the Hub": {"features": [], "rows": [{"row_idx": 0, "row": row, "truncated_cells": []} for row in ROWS]},
    "gradio": {"headers": KO_HEADS, "data": [list(row.values()) for row in ROWS], "metadata": None},
    "pandas, split": {"columns": KO_HEADS, "index": [0, 1], "data": [list(row.values()) for row in ROWS]},
    "pandas": {head: {str(place): row[head] for place, row in enumerate(ROWS)} for head in KO_HEADS},
    "pandas, list": {head: [row[head] for row in ROWS] for head in KO_HEADS},
}


@pytest.mark.parametrize("document", IN_JSON.values(), ids=IN_JSON)
def test_every_shape_of_json_is_read(tmp_path, document):
    path = tmp_path / "board.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert [(model.repo, model.average) for model in read_leaderboard(path).models] == [("c/d", 2.0), ("a/b", 1.0)]


def test_json_lines_and_other_separators_and_a_byte_order_mark_are_read(tmp_path):
    lines = tmp_path / "board.jsonl"
    lines.write_text("\n\n".join(map(json.dumps, ROWS)) + "\n", encoding="utf-8-sig")
    assert len(read_leaderboard(lines).models) == 2
    semicolons = tmp_path / "board.csv"
    for encoding in ("utf-8-sig", "utf-16", "cp949"):
        semicolons.write_text(
            "유형;Model;Average;#Params (B);Hub License\n;a/b;1.5;1;mit\n;c/d;1\n\n", encoding=encoding
        )
        assert [(each.repo, each.card_license) for each in read_leaderboard(semicolons).models] == [
            ("a/b", "mit"),
            ("c/d", ""),
        ]


def test_parquet_is_read_through_pyarrow(tmp_path, monkeypatch):
    stand_in, facts = ModuleType("pyarrow"), SimpleNamespace(num_rows=1_000_000)
    file = SimpleNamespace(metadata=facts, read=lambda: SimpleNamespace(to_pylist=lambda: ROWS))
    stand_in.parquet = SimpleNamespace(ParquetFile=lambda _: file)
    monkeypatch.setitem(sys.modules, "pyarrow", stand_in)
    (tmp_path / "board.parquet").write_bytes(b"PAR1")
    assert [model.repo for model in read_leaderboard(tmp_path / "board.parquet").models] == ["c/d", "a/b"]

    facts.num_rows += 1  # a few bytes can stand for any number of like rows
    with pytest.raises(InputError, match=r"more than 1,000,000 rows, the most that is read"):
        read_leaderboard(tmp_path / "board.parquet")


def test_without_pyarrow_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "board.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="is Parquet, which needs the package pyarrow: pip install pyarrow, or save"):
        read_leaderboard(tmp_path / "board.parquet")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("board.xlsx", "", "has no rows"),
        ("board.csv", "", "has no rows"),
        ("board.csv", "Model,Average,#Params (B),Hub License\n", "has no rows"),
        (
            "board.csv",
            'Model,Average\n"a/b,1\n',
            "is not a readable CSV file: unexpected end of data near line 2",
        ),
        ("board.csv", "Model,Average\na/b,1,2\n", "leaderboard .* has more cells in line 2 than columns"),
        ("board.csv", "[]", "has no rows"),
        ("board.json", "[", "is JSON that cannot be read: ValueError: Expecting value in line 1"),
        ("board.json", "[" * 100_000, "is JSON that cannot be read: ValueError: too deep a nesting in line 1"),
        ("board.json", "[]", "has no rows"),
        ("board.json", '{"error": "not found"}', "has no rows"),
        ("board.json", "[1]", "its rows are not objects with a value for each column"),
        ("board.json", '{"headers": ["a"], "data": [[1, 2]]}', "is JSON that cannot be read: ValueError"),
        ("board.json", '{"headers": ["a"], "data": [1]}', "is JSON that cannot be read: TypeError"),
        ("board.json", '{"a": {"0": 1}, "b": 2}', "lacks the column 'fullname or Model'; its columns are 'a':"),
        ("board.jsonl", "{}\n{", "is JSON lines that cannot be read: ValueError: Expecting property name.* in line 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says) as refusal:
        read_leaderboard(path)
    assert "\n" not in str(refusal.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read \(No such file or directory\): give the path"):
        read_leaderboard(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"none\.json cannot be read \(No such file or directory\): give the path"):
        read_leaderboard(tmp_path / "none.json")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_leaderboard(tmp_path / "folder.csv")
    other = tmp_path / "other.json"
    other.write_bytes(b'["\xff"]')
    with pytest.raises(InputError, match="is not text in UTF-8, UTF-16 or CP949"):
        read_leaderboard(other)


@pytest.mark.parametrize("average", ["", "n/a", "nan", "inf", "=1+1", "0", "-3", True, None, [1], 10**400])
def test_an_average_that_is_no_number_above_0_is_not_known_and_comes_last(tmp_path, average):
    path = tmp_path / "board.json"
    path.write_text(json.dumps([ko_row("a/b", average), ko_row("c/d", 0.01)]), encoding="utf-8")
    assert [(model.repo, model.average) for model in read_leaderboard(path).models] == [("c/d", 0.01), ("a/b", None)]


def test_of_several_runs_of_a_model_the_best_counts(tmp_path):
    rows = [ko_row("a/b", 1.0), ko_row("A/b", 3.0), ko_row("a/b", None), ko_row("a/b", 2.0)]
    board = read_leaderboard(write_csv(tmp_path, KO_HEADS, rows))
    assert [(model.repo, model.average) for model in board.models] == [("A/b", 3.0)]
    assert board.rows == 4


@pytest.mark.parametrize(
    ("cell", "repo"),
    [
        ("owner/name-1.5B_v2", "owner/name-1.5B_v2"),
        ("gpt2", "gpt2"),
        ("https://huggingface.co/owner/name", "owner/name"),
        ("https://huggingface.co/owner/name/?tab=files#top", "owner/name"),
        (anchor("owner/name"), "owner/name"),
        ("<A HREF='https://hf.co/owner/name'>a name</A>", "owner/name"),
        ('<a href="https://huggingface.co/owner/name"><b onload=alert(1)>owner/name', "owner/name"),
    ],
)
def test_a_repository_is_read_as_it_stands_or_from_its_link(cell, repo):
    assert repository(cell) == repo


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "=HYPERLINK('http://evil')",
        "../../etc/passwd",
        "a/b/c",
        "a/b\x1b[2J",
        "a\n/b",
        "a/ᄇ",
        "a/b--c",
        "a/" + "b" * 95,
        "<script>alert(1)</script>",
        "<b>owner/name</b>",
        '<a href="javascript:alert(1)">owner/name</a>',
        '<a href="https://evil.example/owner/name">owner/name</a>',
        '<a href="https://huggingface.co.evil.example/owner/name">owner/name</a>',
        '<a href="https://huggingface.co/datasets/name">name</a>',
        '<a href="https://huggingface.co/evil/twin">google/gemma</a>',
        '<a href="https://huggingface.co/a/b">a/b</a> <a href="https://huggingface.co/c/d">c/d</a>',
        "<a " * 2000,
    ],
)
def test_whatever_else_a_cell_holds_names_no_repository(tmp_path, cell):
    assert repository(cell) is None
    path = tmp_path / "board.json"
    path.write_text(json.dumps([ko_row("a/b", 1.0) | {"Model": cell}, ko_row("c/d", 1.0)]), encoding="utf-8")
    board = read_leaderboard(path)
    assert [model.repo for model in board.models] == ["c/d"]
    assert len(board.unnamed) == 1
    assert board.unnamed[0].isprintable()
    assert len(board.unnamed[0]) <= 80
