"""Datasets as people have them: their forms, their columns, their splits, and what is no dialogue."""

import json
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from made import flat_records

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.inputs.conversations import Turn
from ohlora_fixtures.inputs.dataset import OWN_DATASET, Dialogue, read_dialogues
from ohlora_fixtures.inputs.dataset_files import is_id
from ohlora_fixtures.inputs.protocol import Rows, parse_protocol

ONE = [Dialogue("하나?", "둘!")]


def message(role, content):
    return {"role": role, "content": content}


def part(text):
    return [{"type": "text", "text": text}]


@pytest.fixture
def dataset(tmp_path):
    """Writes rows, and reads them: as JSON lines, or as a file of another ending."""

    def read(rows, name="data.jsonl", columns=""):
        path = tmp_path / name
        if path.suffix == ".parquet":
            pd.DataFrame(rows).to_parquet(path)
        elif path.suffix == ".csv":
            pd.DataFrame(rows).to_csv(path, index=False)
        elif path.suffix == ".json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return read_dialogues(path, columns)

    return read


FORMS = {
    "ours": {"data_type": "train", "input_data": "하나?", "output_data": "둘!"},
    "openai": {"messages": [message("user", "하나?"), message("assistant", "둘!")]},
    "openai parts": {
        "messages": [message("user", part("하나?")), message("assistant", part("둘!"))],
        "prompt": "하나",
    },
    "sharegpt": {"conversations": [{"from": "human", "value": "하나?"}, {"from": "gpt", "value": "둘!"}], "id": 3},
    "alpaca": {"instruction": "하나?", "input": "", "output": "둘!"},
    "koalpaca": {"instruction": "하나?", "output": "둘!", "url": "x"},
    "trl": {"prompt": "하나?", "completion": " 둘!"},
    "trl conversational": {"prompt": [message("user", "하나?")], "completion": [message("assistant", "둘!")]},
    "koalpaca-realqa": {"question": "하나?", "answer": "둘!"},
    "korean": {"질문": "하나?", "답변": "둘!"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.parquet"])
def test_a_known_form_needs_no_word_whatever_it_is_kept_in(dataset, form, name):
    assert list(dataset([FORMS[form]], name).usable_train_rows) == ONE


@pytest.mark.parametrize("form", [form for form, row in FORMS.items() if all(isinstance(c, str) for c in row.values())])
def test_a_spreadsheet_has_any_form_of_one_turn(dataset, form):
    assert list(dataset([FORMS[form]], "data.csv").usable_train_rows) == ONE


def test_a_csv_cell_holds_messages_as_json(dataset):
    row = {"messages": json.dumps(FORMS["openai"]["messages"])}
    assert list(dataset([row], "data.csv").usable_train_rows) == ONE


@pytest.mark.parametrize("orient", ["records", "columns", "split", "list"])
def test_json_as_pandas_writes_it(dataset, orient):
    rows = pd.DataFrame([FORMS["alpaca"]] * 2)
    document = rows.to_dict("list") if orient == "list" else json.loads(rows.to_json(orient=orient))
    assert list(dataset(document, "data.json").usable_train_rows) == ONE * 2


def test_json_lines_need_no_ending(dataset):
    assert list(dataset([FORMS["koalpaca"]] * 2, "data.txt").usable_train_rows) == ONE * 2


def test_each_turn_of_the_assistant_is_an_answer_to_all_that_precedes_it(dataset):
    turns = [message("system", "오로라야."), message("user", "안녕?"), message("assistant", "안녕!")]
    more = [message("user", "뭐해?"), message("assistant", "노래해."), message("user", "좋네.")]
    told = tuple(Turn(each["role"], each["content"]) for each in turns + more)
    assert list(dataset([{"messages": turns + more}]).usable_train_rows) == [
        Dialogue("오로라야.\n안녕?", "안녕!", told[:2]),
        Dialogue("오로라야.\nuser: 안녕?\nassistant: 안녕!\nuser: 뭐해?", "노래해.", told[:4]),
    ]


def test_an_instruction_has_its_input_its_system_text_and_its_history(dataset):
    row = {
        "instruction": "옮겨라",
        "input": "하나",
        "output": "one",
        "system": "통역사",
        "history": [["안녕", "hello"]],
    }
    assert [each.prompt for each in dataset([row]).usable_train_rows] == [
        "통역사\n안녕",
        "통역사\nuser: 안녕\nassistant: hello\nuser: 옮겨라\n하나",
    ]


def test_any_columns_can_be_named(dataset):
    rows = [{"질문": "하나?", "reply": "둘!", "output": "x", "instruction": "y", "part": "train"}]
    dialogues = dataset(rows, columns="prompt=질문, answer=reply,split=part")
    assert list(dialogues.usable_train_rows) == ONE
    assert dialogues.form == "JSON lines, 질문 -> reply"
    assert dialogues.sha256 not in {
        dataset(rows, columns="prompt=질문,answer=output").sha256,
        dataset(rows).sha256,
    }


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("prompt", "'prompt' is not ROLE=COLUMN, each once, with one of the roles prompt, input, answer"),
        ("question=a", "is not ROLE=COLUMN"),
        ("prompt=", "is not ROLE=COLUMN"),
        ("prompt=a", "needs prompt and answer both, such as prompt=question,answer=reply"),
        ("prompt=a,answer=b", r"lacks the column 'a' that --columns names as prompt: its columns are 'instruction', "),
    ],
)
def test_columns_that_are_not_there_or_no_columns_are_refused(dataset, columns, says):
    with pytest.raises(InputError, match=says):
        dataset([FORMS["koalpaca"]], columns=columns)


LONG = "길" * 100


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"text": "하나"}], "has the columns 'text', and none of the known forms of a dialogue: name its own with"),
        ([{"prompt": "하나", "chosen": "둘", "rejected": "셋"}], "has the columns 'prompt', 'chosen', 'rejected', and"),
        ([{f"{LONG}{number}": 1 for number in range(99)}], r"길', \.\.\., and none of the known forms"),
        ([{"messages": "안녕"}], "no dialogue in row 1: '안녕' is no list of messages with role and content"),
        ([FORMS["openai"], {"messages": [["user", "안녕"]]}], "no dialogue in row 2: .* is no list of messages"),
        ([{"messages": [message("tool", "3")]}], "in row 1: its role 'tool' is none of user, human, assistant, gpt"),
        ([{"messages": [message("user", {"image": 1})]}], "in row 1: its content is no text but {'image': 1}"),
        ([{"instruction": ["하나"], "output": "둘"}], "in row 1: '하나' is no list of messages"),
        ([{"instruction": "하나", "output": {"text": "둘"}}], "in row 1: its output is no text but {'text': '둘'}"),
        ([{"instruction": "하나", "output": "둘", "history": ["셋"]}], "its history is no text but '셋'"),
        ([{"instruction": "하나", "output": "둘", "split": "a"}] * 9, "says 'a' in its column 'split', and train no"),
        ([[1]], "is JSON lines that cannot be read: ValueError: its rows are not objects"),
    ],
)
def test_what_is_no_dialogue_is_refused_with_what_was_found(dataset, rows, says):
    with pytest.raises(InputError, match=says) as refusal:
        dataset(rows)
    assert len(str(refusal.value).replace(str(refusal.value).split()[1], "")) <= 400


def test_json_that_is_broken_is_refused_with_its_line(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text('{"prompt": "하나", "completion": "둘"}\n\n{"prompt": "셋", "comp\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"is JSON lines that cannot be read: .* in line 3; correct it there"):
        read_dialogues(path)


def test_a_csv_row_that_is_no_dialogue_is_refused_with_its_line(dataset):
    with pytest.raises(InputError, match="no dialogue in line 3: 'x' is no list of messages"):
        dataset([{"messages": "[]"}, {"messages": "x"}], "data.csv")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "data.csv").touch()
    with pytest.raises(InputError, match="has no rows"):
        read_dialogues(tmp_path / "data.csv")


def test_parquet_needs_pyarrow_and_says_so(dataset, monkeypatch, tmp_path):
    dataset([FORMS["alpaca"]], "data.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="is Parquet, which needs the package pyarrow: pip install pyarrow, or"):
        read_dialogues(tmp_path / "data.parquet")


def numbered(count, **more):
    return [{"instruction": f"질문 {number}?", "output": f"대답 {number}!", **more} for number in range(count)]


def test_without_a_split_column_one_row_in_ten_is_held_out_and_50_at_most_the_same_each_time(dataset):
    found = dataset(numbered(40))
    assert (len(found.usable_train_rows), len(found.usable_valid_rows)) == (36, 4)
    assert found.usable_train_rows == dataset(numbered(40)).usable_train_rows
    assert not {*found.usable_train_rows} & {*found.usable_valid_rows}
    assert len(dataset(numbered(3000)).usable_valid_rows) == 50
    assert dataset(numbered(9)).usable_valid_rows == ()


def test_all_turns_of_a_dialogue_are_on_one_side_of_the_split(dataset):
    rows = [{"messages": [message(role, f"{number}") for role in ("user", "assistant")] * 3} for number in range(20)]
    found = dataset(rows)
    assert (len(found.usable_train_rows), len(found.usable_valid_rows)) == (54, 6)
    assert not {row.answer for row in found.usable_train_rows} & {row.answer for row in found.usable_valid_rows}


def test_a_split_column_says_which_rows_are_held_out(dataset):
    rows = numbered(6)
    for row, split in zip(rows, ["train", "Train", "validation", "test", "unused", "train"], strict=True):
        row["split"] = split
    found = dataset(rows)
    assert [row.prompt for row in found.usable_train_rows] == ["질문 0?", "질문 1?", "질문 5?"]
    assert [row.prompt for row in found.usable_valid_rows] == ["질문 2?", "질문 3?"]


def test_one_line_says_what_was_understood(dataset):
    found = dataset([*numbered(3000), {"instruction": "질문", "output": None}])
    assert found.understood(Rows(120, 140)) == (
        "dataset: data.jsonl, JSON lines, instruction -> output; trains on 20 of 3,001 rows (2,950 train, 50 held out "
        "at random, 1 not usable); characters a row: 16 in the median, 16 at most"
    )
    assert "trains on 20 of 250 rows (200 train, 50 held out)" in read_dialogues(OWN_DATASET).understood(Rows(120, 140))


def test_rows_are_chosen_and_prompts_that_are_not_among_them(dataset):
    found = dataset(numbered(40))
    protocol = parse_protocol(found.settings_for("all"))
    assert found.rows(protocol.fine_tuning_rows) == found.usable_train_rows
    assert found.rows(protocol.prompt_rows) == found.usable_valid_rows
    assert found.settings_for("first 20") == ["fine_tuning_rows=0:20", "prompt_rows=valid 0:4"]


def test_without_valid_rows_the_prompts_come_from_the_rows_after_those_trained_on(dataset):
    found = dataset(numbered(40, split="train"))
    assert found.settings_for("first 20") == ["fine_tuning_rows=0:20", "prompt_rows=20:40"]
    assert found.settings_for("random 5") == ["fine_tuning_rows=random 0:5", "prompt_rows=random 5:30"]
    assert found.settings_for("all") == ["fine_tuning_rows=0:40", "prompt_rows=0:25"]


def test_random_rows_are_others_than_the_first_the_same_each_time_and_the_rest_is_held_out(dataset):
    found = dataset(numbered(40, split="train"))
    chosen = found.rows(Rows(0, 10, "random"))
    assert chosen == dataset(numbered(40, split="train")).rows(Rows(0, 10, "random"))
    assert chosen != found.rows(Rows(0, 10))
    assert {*chosen} | {*found.held_out(Rows(0, 10, "random"))} == {*found.usable_train_rows}


@pytest.mark.parametrize("asked", ["20", "first", "first 0", "random -1", "last 5", ""])
def test_other_rows_are_refused(dataset, asked):
    with pytest.raises(InputError, match="is none of all, first N and random N, such as --rows 'first 200'"):
        dataset(numbered(10)).settings_for(asked)


def test_a_session_says_what_it_understood_and_how_many_rows_it_used(suite, tiny):
    rows = [{"question_text": f"질문 {number}?", "reply": f"대답 {number}!"} for number in range(3000)]
    (suite.path / "mine.json").write_text(json.dumps(rows), encoding="utf-8")
    chosen = ("--columns", "prompt=question_text,answer=reply", "--rows", "random 20", "--report-lang", "ko")
    planned = ("benches", "-k", "plan and r16", "--candidates", tiny(), "--results-dir", "out")
    result = suite.runpytest_forked(*planned, "--dataset", "mine.json", *chosen)
    result.assert_outcomes(passed=1, deselected=7)
    result.stdout.fnmatch_lines(
        [
            "dataset: mine.json, JSON, question_text -> reply; trains on 20 of 3,000 rows (2,950 train, *",
            "*, 20 of 2,950 rows. MiB: *",
            "*fine_tuning_rows random 0:20 instead of*",
        ]
    )
    assert [each["dataset_rows"] for each in flat_records(suite.path / "out")] == [2950]
    assert "2,950행 가운데 20행" in (suite.path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_dataset_of_the_hub_has_its_splits(monkeypatch):
    splits = {"train": numbered(3), "test": [{"instruction": "하나?", "output": "둘!"}]}
    loaded = []
    stand_in = SimpleNamespace(
        disable_progress_bars=lambda: None,
        load_dataset=lambda name, revision: loaded.append((name, revision)) or splits,
    )
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    found = read_dialogues("someone/data@v1")
    assert loaded == [("someone/data", "v1")]
    assert len(found.usable_train_rows) == 3
    assert list(found.usable_valid_rows) == ONE
    assert found.form == "Hub, instruction -> output"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("beomi/KoAlpaca-v1.1a", True),
        ("someone/data@refs/convert/parquet", True),
        ("data/mine.csv", False),
        ("../mine", False),
        ("/data/mine", False),
        ("mine", False),
    ],
)
def test_what_reads_as_a_dataset_of_the_hub(text, is_one):
    assert is_id(text) is is_one


def test_a_dataset_of_the_hub_that_cannot_be_loaded_is_refused_in_a_sentence(monkeypatch):
    def unreachable(name, revision):
        raise ConnectionError(f"Couldn't reach '{name}' on the Hub")

    monkeypatch.setitem(
        sys.modules, "datasets", SimpleNamespace(disable_progress_bars=lambda: None, load_dataset=unreachable)
    )
    with pytest.raises(InputError, match="is not a file here and cannot be loaded from the Hub: ConnectionError: C"):
        read_dialogues("someone/data")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="is not a file here: correct its path, or if it is a dataset on the Hub, pip"):
        read_dialogues("someone/data")
