"""How a candidate is asked and answers, in a text template or its tokenizer's own; completion-only encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from ..base.errors import CandidateError
from ..base.messages import message
from .chats import Chat, asked, render
from .conversations import Dialogue, Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN = "### 질문: {input} ### 답변: {output}"
"""The study's, for a model that has no chat template and whose candidate names no text template."""
IGNORED_LABEL = -100
"""The label PyTorch's cross-entropy leaves out (its `ignore_index`)."""
_QUESTION, _ANSWER = "question", "0answer0"
"""Of a dialogue that shows what a chat template puts around an answer."""


class Example(TypedDict):
    """One training row, encoded; all lists have the row's length in tokens."""

    input_ids: list[int]
    attention_mask: list[int]
    labels: list[int]


class EncodedRow(NamedTuple):
    """A row in tokens."""

    prompt: list[int]
    """What a model gets to answer."""
    answer: list[int]
    """The row's own answer, without the tokens that end it."""


def template_of(text_template: str | None, tokenizer: PreTrainedTokenizerBase) -> Template:
    """A candidate's text template, else its tokenizer's chat template, else `PLAIN`.

    Raises CandidateError for a chat template that cannot be rendered.
    """
    if text_template is None and tokenizer.chat_template:
        return _chat_template(tokenizer)
    before, after = (text_template or PLAIN).split("{output}")
    prompt, space = _without_space(before)
    return Template(tokenizer, space, _end(tokenizer, after), text=prompt)


@dataclass(frozen=True)
class Template:
    """Puts rows into a tokenizer's tokens."""

    tokenizer: PreTrainedTokenizerBase
    space: str
    """Between prompt and answer; it goes with the answer, as tokenizers mark a word by the space before it."""
    end: tuple[int, ...]
    """The tokens after an answer; the last ends the turn, or the sequence where the template has no token for that."""
    text: str | None = None
    """The prompt's text template, with `{input}` in it; None for the tokenizer's chat template."""
    header: str = ""
    """What a chat template has before an answer but does not put at a prompt's end, such as an empty thought."""

    def encoded(self, rows: Sequence[Dialogue]) -> list[EncodedRow]:
        """Rows in tokens, so that the prompt's end is the one place where an answer can begin.

        Raises CandidateError as `template_of` does.
        """
        found = []
        for row, text in zip(rows, self._prompts(rows), strict=True):
            prompt = self._ids(text)
            found.append(EncodedRow(prompt, self._answer_ids(text, prompt, row.answer)))
        return found

    def prompts(self, rows: Sequence[Dialogue]) -> list[list[int]]:
        """The tokens that a model gets to answer."""
        return [self._ids(text) for text in self._prompts(rows)]

    @property
    def tokens_around(self) -> int:
        """Tokens that it has around a prompt."""
        (prompt,) = self.prompts([Dialogue(_QUESTION, "")])
        return len(prompt) - len(self.tokenizer(_QUESTION, add_special_tokens=False)["input_ids"])

    def _prompts(self, rows: Sequence[Dialogue]) -> list[str]:
        if self.text is not None:
            return [self.text.replace("{input}", row.prompt) for row in rows]
        return [text + self.header for text in _rendered(self.tokenizer, [asked(row) for row in rows])]

    def _ids(self, text: str) -> list[int]:
        """A text that goes on, in tokens: its beginning is marked once, and its end is not."""
        begin, end = self.tokenizer.bos_token, self.tokenizer.eos_token
        has_begun = begin is not None and text.startswith(begin)
        ids: list[int] = self.tokenizer(text, add_special_tokens=not has_begun)["input_ids"]
        is_closed = ids[-1:] == [self.tokenizer.eos_token_id] and not text.endswith(end)
        return ids[:-1] if is_closed else ids

    def _answer_ids(self, text: str, prompt: list[int], answer: str) -> list[int]:
        """An answer's tokens; behind the space of a text template it is encoded alone, as the study did it."""
        if self.text is None or not self.space:
            whole = self._ids(text + self.space + answer)
            if whole[: len(prompt)] == prompt:
                return whole[len(prompt) :]
        apart: list[int] = self.tokenizer(self.space + answer, add_special_tokens=False)["input_ids"]
        return apart


def encode_all(template: Template, rows: Sequence[Dialogue], max_tokens: int) -> list[Example]:
    """Encode rows for fine-tuning, each at its own length, so that only the answer and its end are learned.

    Raises CandidateError for a prompt so long that nothing of the answer is left.
    """
    examples: list[Example] = []
    for row, (prompt, answer) in zip(rows, template.encoded(rows), strict=True):
        learned = [*answer, *template.end]
        if len(prompt) >= max_tokens:
            raise CandidateError(
                message("reason.long_row", prompt=repr(row.prompt[:20]), count1=len(prompt), count2=max_tokens)
            )
        input_ids = [*prompt, *learned][:max_tokens]
        labels = [*[IGNORED_LABEL] * len(prompt), *learned][:max_tokens]
        examples.append({"input_ids": input_ids, "attention_mask": [1] * len(input_ids), "labels": labels})
    return examples


def count_cut(examples: Sequence[Example], template: Template, max_tokens: int) -> int:
    """How many encoded rows have lost their end to the most tokens of a row."""
    end = template.end
    return sum(len(each["labels"]) == max_tokens and tuple(each["labels"][-len(end) :]) != end for each in examples)


def count_long(rows: Sequence[EncodedRow], template: Template, max_tokens: int) -> int:
    """How many rows have an answer of their own that does not fit behind their prompt, its end included."""
    return sum(len(prompt) + len(answer) + len(template.end) > max_tokens for prompt, answer in rows)


def prompt_text(template: str, prompt: str) -> str:
    """The text a model gets to answer in a text template."""
    return _without_space(template.partition("{output}")[0])[0].replace("{input}", prompt)


def whole_text(template: str | None, row: Dialogue) -> str:
    """A row as one training text in a text template, or in `PLAIN`, without the token that ends it."""
    before, _, after = (template or PLAIN).partition("{output}")
    return before.replace("{input}", row.prompt) + row.answer + after


def _without_space(before: str) -> tuple[str, str]:
    """What stands before an answer, and the spaces at its end."""
    text = before.rstrip(" ")
    return text, before[len(text) :]


def _chat_template(tokenizer: PreTrainedTokenizerBase) -> Template:
    question, answer = Turn("user", _QUESTION), Turn("assistant", _ANSWER)
    opened, whole = _rendered(tokenizer, [(((question,),), True), (((question, answer),), False)])
    before, _, after = whole.rpartition(_ANSWER)
    header, space = _without_space(before[len(opened) :] if before.startswith(opened) else "")
    return Template(tokenizer, space, _end(tokenizer, after), header=header)


def _rendered(tokenizer: PreTrainedTokenizerBase, chats: Sequence[Chat]) -> Sequence[str]:
    try:
        template = tokenizer.get_chat_template()
    except ValueError:  # several, none of which is the default
        raise CandidateError(message("reason.chat_template", error="it has no default")) from None
    tokens = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return render(template, tokens, chats)


def _end(tokenizer: PreTrainedTokenizerBase, after: str) -> tuple[int, ...]:
    """The tokens that a template has after an answer, to its first special one; without one, the sequence is ended."""
    sign, signed = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", "a" + after))
    is_apart = signed[: len(sign)] == sign
    ids = signed[len(sign) :] if is_apart else tokenizer(after, add_special_tokens=False)["input_ids"]
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    at = next((place for place, number in enumerate(ids) if number in added), None)
    return (*ids, tokenizer.eos_token_id) if at is None else tuple(ids[: at + 1])
