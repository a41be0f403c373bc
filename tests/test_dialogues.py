import csv
import re
import statistics

import pytest

from ohlora_fixtures.base.errors import CandidateError, InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.conversations import Dialogue
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.protocol import Rows
from ohlora_fixtures.inputs.templates import IGNORED_LABEL, encode_all, prompt_text, template_of
from ohlora_fixtures.workloads.stand_ins import stand_in_tokenizer

OURS = DATA / "dialogues.csv"
HEAD = "data_type,input_data,output_data\n"
KOREAN_TEMPLATE = "### 질문: {input} ### 답변: {output}"


def test_our_own_dataset_has_the_originals_shape():
    with OURS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    train = [row for row in rows if row["data_type"] == "train"]
    assert list(rows[0]) == ["", "data_type", "input_data", "output_data", "output_message", "memory"]
    assert [row[""] for row in rows] == [str(index) for index in range(250)]
    assert len(train) == 200
    assert sum(bool(row["memory"]) for row in train) == 59
    assert all(row["output_data"] for row in rows)
    assert all(row["output_data"] == f"{row['memory']} {row['output_message']}".strip() for row in rows)
    assert len({row["input_data"] for row in rows}) == 250
    assert 13.5 < statistics.mean(len(row["input_data"]) for row in rows) < 15.5
    assert 33 < statistics.mean(len(row["output_data"]) for row in train) < 37
    assert max(len(row["output_data"]) for row in rows) <= 77


@pytest.mark.parametrize("missing", ["", "nan", " NaN ", "None"])
def test_a_row_without_an_answer_is_no_row_to_train_on(write_dataset, missing):
    dialogues = read_dialogues(write_dataset(count=5, answers={1: missing}))
    assert [row.prompt for row in dialogues.usable_train_rows] == ["질문 0?", "질문 2?", "질문 3?", "질문 4?"]


def test_rows_of_other_kinds_are_not_train_rows(write_dataset):
    path = write_dataset(count=3)
    path.write_text(path.read_text(encoding="utf-8").replace("1,train", "1,valid"), encoding="utf-8")
    assert [row.answer for row in read_dialogues(path).rows(Rows(0, 2))] == ["대답 0!", "대답 2!"]


def test_too_few_rows_are_refused(write_dataset):
    dialogues = read_dialogues(write_dataset(count=139))
    with pytest.raises(InputError, match="has 139 train rows with a prompt and an answer, but 140 are asked for"):
        dialogues.rows(Rows(120, 140))


def test_a_dataset_without_a_usable_row_is_refused_whatever_is_asked_for(tmp_path):
    (tmp_path / "empty.csv").write_text("prompt,completion\nhello,\n,hi\n")
    dialogues = read_dialogues(tmp_path / "empty.csv")
    with pytest.raises(InputError, match=r"has no row with a prompt and an answer, of 2: fill them in, or name other"):
        dialogues.rows(Rows(0, 1))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("separator", ",;\t")
def test_what_a_spreadsheet_saves_is_the_same_dataset(write_dataset, encoding, separator):
    path = write_dataset(count=3, answers={1: f"하나{separator} 둘\n셋"})
    plain = read_dialogues(path).usable_train_rows
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines(keepends=True)))
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    assert read_dialogues(path).usable_train_rows == plain
    assert plain[1].answer == f"하나{separator} 둘\n셋"


@pytest.mark.parametrize("data", ["대답".encode() + b"\xff", b"\xff\xfe\x00", b"PK\3\4\xff\xff"])
def test_what_is_no_text_in_these_encodings_is_refused(tmp_path, data):
    path = tmp_path / "dataset.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"dataset .*dataset\.csv is not text in UTF-8, UTF-16 or CP949: save it"):
        read_dialogues(path)


def test_a_file_that_says_it_is_utf_8_is_not_read_as_anything_else(tmp_path):
    path = tmp_path / "dataset.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode() + "train,하나,".encode() + "둘".encode("cp949"))
    with pytest.raises(InputError, match="is not text in UTF-8"):
        read_dialogues(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read \(No such file or directory\): give the path"):
        read_dialogues(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\): give the path"):
        read_dialogues(tmp_path)


def test_the_space_between_prompt_and_answer_goes_with_the_answer():
    assert prompt_text(KOREAN_TEMPLATE, "안녕?") == "### 질문: 안녕? ### 답변:"
    assert prompt_text("{input}\n  {output}", "안녕?") == "안녕?\n"


@pytest.fixture(scope="module")
def tokenizer():
    return stand_in_tokenizer(read_dialogues(OURS).texts(KOREAN_TEMPLATE), chars_per_token=1.5)


def test_only_the_answer_and_its_end_are_learned(tokenizer):
    row = Dialogue("안녕?", "나도 안녕!")
    (example,) = encode_all(template_of(KOREAN_TEMPLATE, tokenizer), [row], max_tokens=100)
    learned = [label for label in example["labels"] if label != IGNORED_LABEL]
    assert learned[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(learned[:-1]) == " 나도 안녕!"
    masked = len(example["labels"]) - len(learned)
    assert tokenizer.decode(example["input_ids"][:masked]) == "### 질문: 안녕? ### 답변:"
    assert example["labels"][masked:] == example["input_ids"][masked:]


def test_a_prompt_that_leaves_no_answer_to_learn_is_refused(tokenizer):
    with pytest.raises(CandidateError, match="leaves no room for its answer: raise the protocol's max_row_tokens of 3"):
        encode_all(template_of(KOREAN_TEMPLATE, tokenizer), [Dialogue("안녕?", "그래")], max_tokens=3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'train,"하나,둘\ntrain,셋,넷\n',
            "is not a readable CSV file: unexpected end of data near line 2;",
        ),
        (
            'train,하나,둘\ntrain,셋,"넷\ntrain,다섯,여섯\n',
            "unexpected end of data near line 3; correct its quotes there",
        ),
        ('train,하나,둘\ntrain,셋,"넷" 다섯\n', "',' expected after '\"' near line 3; correct its quotes there"),
        (
            "train,하나,둘\ntrain,셋,넷, 다섯\n",
            "more cells in line 3 than columns: put double quotes",
        ),
    ],
)
def test_quotes_that_are_missing_are_refused_and_no_answer_is_cut_off_at_its_comma(tmp_path, text, says):
    path = tmp_path / "quotes.csv"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(says)):
        read_dialogues(path)


def test_a_column_that_is_there_twice_is_refused_if_it_is_needed(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("data_type,input_data,output_data,memory,memory\ntrain,하나,둘,,\n", encoding="utf-8")
    assert read_dialogues(path).usable_train_rows == (Dialogue("하나", "둘"),)
    path.write_text("data_type,input_data,output_data,output_data\ntrain,하나,둘,셋\n", encoding="utf-8")
    with pytest.raises(InputError, match="has the column 'output_data' more than once: leave one of them"):
        read_dialogues(path)


def test_a_text_of_any_length_is_read(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(f"{HEAD}train,하나,{'둘' * 200_000}\ntrain,셋,넷\n", encoding="utf-8")
    before = csv.field_size_limit()
    assert [len(row.answer) for row in read_dialogues(path).usable_train_rows] == [200_000, 1]
    assert csv.field_size_limit() == before


def test_long_rows_are_cut_off(tokenizer):
    template, row = template_of(KOREAN_TEMPLATE, tokenizer), Dialogue("안녕?", "그래 " * 50)
    (example,) = encode_all(template, [row], max_tokens=20)
    assert [len(values) for values in example.values()] == [20, 20, 20]
