"""A chat model is asked and trained in its own chat template, to the token."""

import chat_templates as known
import pytest
from chat_templates import tokenizer_with

from ohlora_fixtures.base.errors import CandidateError
from ohlora_fixtures.inputs import chats
from ohlora_fixtures.inputs.conversations import Dialogue, Turn, pairs
from ohlora_fixtures.inputs.templates import IGNORED_LABEL, PLAIN, encode_all, template_of

ROW = Dialogue("안녕?", "나도 안녕!")
GEMMA_OWN = "<start_of_turn>user\n{input}<end_of_turn>\n<start_of_turn>model\n{output}<end_of_turn>"


def parts(text_template, tokenizer, row=ROW, max_tokens=500):
    """What of a row is asked and what is learned, as texts."""
    template = template_of(text_template, tokenizer)
    (example,) = encode_all(template, [row], max_tokens)
    asked = [number for number, label in zip(example["input_ids"], example["labels"], strict=True) if label < 0]
    learned = [label for label in example["labels"] if label != IGNORED_LABEL]
    assert template.prompts([row]) == [asked]
    assert [*asked, *learned] == example["input_ids"]
    assert example["attention_mask"] == [1] * len(example["input_ids"])
    return tokenizer.decode(asked), tokenizer.decode(learned)


def of_the_library(tokenizer, row=ROW):
    messages = [{"role": "user", "content": row.prompt}, {"role": "assistant", "content": row.answer}]
    settings = {"tokenize": False, "enable_thinking": False}
    asked = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, **settings)
    return asked, tokenizer.apply_chat_template(messages, **settings)[len(asked) :].rstrip("\n")


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize(
    ("template", "bos", "eos", "learned"),
    [
        (known.GEMMA, "<bos>", "<eos>", "나도 안녕!<end_of_turn>"),
        (known.LLAMA3, "<|begin_of_text|>", "<|eot_id|>", "나도 안녕!<|eot_id|>"),
        (known.LLAMA3, "<|begin_of_text|>", "<|end_of_text|>", "나도 안녕!<|eot_id|>"),
        (known.LLAMA2, "<s>", "</s>", " 나도 안녕! </s>"),
    ],
)
def test_a_template_that_begins_the_sequence_begins_it_once_and_ends_the_turn_once(template, bos, eos, learned, begins):
    tokenizer = tokenizer_with(template, bos, eos, begins=begins)
    assert parts(None, tokenizer) == of_the_library(tokenizer) == (of_the_library(tokenizer)[0], learned)


@pytest.mark.parametrize(
    ("template", "eos", "learned"),
    [
        (known.CHATML, "<|endoftext|>", "나도 안녕!<|im_end|>"),
        (known.SMOLLM, "<|im_end|>", "나도 안녕!<|im_end|>"),
        (known.QWEN3, "<|im_end|>", "나도 안녕!<|im_end|>"),
        (known.ZEPHYR, "</s>", "나도 안녕!</s>"),
    ],
)
def test_a_template_without_a_beginning_gets_the_tokenizers(template, eos, learned):
    for begins in (False, True):
        tokenizer = tokenizer_with(template, "<s>", eos, begins=begins)
        asked, answered = of_the_library(tokenizer)
        assert parts(None, tokenizer) == ("<s>" * begins + asked, answered)
        assert answered == learned


def test_the_newline_of_the_generation_prompt_is_asked_and_not_learned():
    tokenizer = tokenizer_with(known.SMOLLM, "<|im_start|>", "<|im_end|>", begins=False)
    asked, learned = parts(None, tokenizer)
    assert asked.endswith("<|im_start|>assistant\n")
    assert learned.startswith("나도")
    assert (asked + learned).count("<|im_end|>") == 3  # of system, user and assistant


@pytest.mark.parametrize("start", ["", "<bos>"])
@pytest.mark.parametrize("begins", [True, False])
def test_a_text_template_in_a_chat_format_is_asked_like_the_chat_template(begins, start):
    tokenizer = tokenizer_with(known.GEMMA, begins=begins)
    asked, learned = parts(start + GEMMA_OWN, tokenizer)
    assert asked == ("<bos>" if start or begins else "") + of_the_library(tokenizer)[0].removeprefix("<bos>")
    assert learned == of_the_library(tokenizer)[1]


def test_a_candidates_text_template_goes_before_its_tokenizers_chat_template():
    tokenizer = tokenizer_with(known.GEMMA)
    expected = ("<bos>### 질문: 안녕? ### 답변:", " 나도 안녕!<eos>")
    assert parts(PLAIN, tokenizer) == expected
    assert parts(None, tokenizer_with(None)) == expected  # a base model


@pytest.mark.parametrize("template", [None, known.CHATML])
def test_a_tokenizer_that_closes_every_text_does_not_close_the_prompt(template):
    closing, other = (tokenizer_with(template, closes=closes) for closes in (True, False))
    assert parts(None, closing) == parts(None, other)


def test_what_a_text_template_has_after_the_answer_is_learned_up_to_the_end_of_its_turn():
    tokenizer = tokenizer_with(None)
    assert parts("{input}:{output} ###", tokenizer)[1] == "나도 안녕! ###<eos>"
    assert parts("{input}:{output}<end_of_turn>\n", tokenizer)[1] == "나도 안녕!<end_of_turn>"
    assert parts("{input}:{output}<eos>", tokenizer)[1] == "나도 안녕!<eos>"


def test_a_header_that_the_generation_prompt_lacks_is_asked():
    lacking = known.ZEPHYR.partition("{% if add_generation_prompt")[0]
    asked, learned = parts(None, tokenizer_with(lacking))
    assert (asked, learned) == ("<bos><|user|>\n안녕?<eos>\n<|assistant|>\n", "나도 안녕!<eos>")


SEVERAL = (Turn("user", "하나"), Turn("assistant", "둘"), Turn("user", "셋"), Turn("assistant", "넷"))
SYSTEM = Turn("system", "짧게")


def test_every_turn_of_a_dialogue_is_told_as_its_own():
    first, second = pairs(SEVERAL)
    tokenizer = tokenizer_with(known.GEMMA)
    assert first == Dialogue("하나", "둘")
    asked, learned = parts(None, tokenizer, second)
    assert asked == (
        "<bos><start_of_turn>user\n하나<end_of_turn>\n<start_of_turn>model\n둘<end_of_turn>\n"
        "<start_of_turn>user\n셋<end_of_turn>\n<start_of_turn>model\n"
    )
    assert learned == "넷<end_of_turn>"


def test_a_system_text_is_a_turn_where_the_template_has_one_and_else_part_of_the_first():
    _, row = pairs((SYSTEM, *SEVERAL))
    assert parts(None, tokenizer_with(known.CHATML, begins=False), row)[0].startswith(
        "<|im_start|>system\n짧게<|im_end|>\n<|im_start|>user\n하나<|im_end|>"
    )
    assert parts(None, tokenizer_with(known.GEMMA), row)[0].startswith(
        "<bos><start_of_turn>user\n짧게\n하나<end_of_turn>\n<start_of_turn>model\n둘<end_of_turn>"
    )
    silent = known.LLAMA2  # which passes over a system turn without a word
    assert "[INST] 짧게\n하나 [/INST] 둘" in parts(None, tokenizer_with(silent), row)[0]


def test_turns_that_the_template_refuses_are_told_in_one():
    (row,) = pairs((Turn("user", "하나"), Turn("user", "둘"), Turn("assistant", "셋")))
    asked, learned = parts(None, tokenizer_with(known.GEMMA), row)
    assert asked == "<bos><start_of_turn>user\nuser: 하나\nuser: 둘<end_of_turn>\n<start_of_turn>model\n"
    assert learned == "셋<end_of_turn>"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for", "TemplateSyntaxError"),
        ("{{ raise_exception('not today') }}", "TemplateError: not today"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ 9 * 10 }}", "NotRenderedError: it leaves out what was said"),
        ("{{ messages[0].content * 100000 }}", "NotRenderedError: it makes 800,000 characters of a dialogue"),
        ("{{ ('x' * 9999999999) | length }}", "MemoryError"),
        ("{#" + "x" * 200_000 + "#}", "it has 200,004 characters"),
        ({"tool_use": "", "rag": ""}, "it has no default"),
    ],
)
def test_a_template_that_fails_is_the_candidates_error_in_one_sentence(template, says):
    with pytest.raises(CandidateError) as caught:
        template_of(None, tokenizer_with(template))
    assert str(caught.value).startswith(f"its chat template cannot be used ({says}")
    assert str(caught.value).endswith("): give the candidate a text_template")
    assert len(str(caught.value)) <= 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ messages }}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
    ],
)
def test_a_template_that_does_not_come_to_an_end_is_ended(template, monkeypatch):
    for seconds in (4.0, 0.0):  # the second time it is known
        monkeypatch.setattr(chats, "_MOST_SECONDS", seconds)
        with pytest.raises(CandidateError, match=r"cannot be used \(it takes more than 4 s\): give the candidate"):
            template_of(None, tokenizer_with(template))


def test_a_template_can_only_see_its_dialogue(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(CandidateError, match="cannot be used"):
        template_of(None, tokenizer_with(f"{{% include '{tmp_path}/secret.txt' %}}"))
