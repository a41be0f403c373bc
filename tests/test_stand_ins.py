import pytest

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.workloads.models import ModelSource, load
from ohlora_fixtures.workloads.stand_ins import stand_in_tokenizer

TEXTS = read_dialogues(DATA / "dialogues.csv").texts("### 질문: {input} ### 답변: {output}")
CANDIDATES = [c for c in read_candidates(DATA / "candidates.toml") if not c.name.startswith("kanana")]


@pytest.mark.parametrize("wanted", [1.38, 1.55, 2.05])
def test_the_tokenizer_gives_the_wanted_characters_a_token(wanted):
    tokenizer = stand_in_tokenizer(TEXTS, wanted)
    given = sum(map(len, TEXTS)) / sum(len(ids) for ids in tokenizer(list(TEXTS))["input_ids"])
    assert given == pytest.approx(wanted, rel=0.01)


def test_the_tokenizer_loses_nothing_and_is_the_same_every_time():
    tokenizer = stand_in_tokenizer(TEXTS, 1.5)
    text = "처음 보는 글자 뷁 🦄 and English"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert stand_in_tokenizer(TEXTS, 1.5)(text)["input_ids"] == ids
    assert tokenizer.eos_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_every_candidate_has_a_replica_of_its_own_class(candidate):
    source = ModelSource("mini", "random", None, allow_remote_code=False, device="cpu", seed=0)
    loaded = load(candidate, source, TEXTS)
    assert type(loaded.model).__name__ == candidate.architecture()["architectures"][0]
    assert loaded.parameters < 1_000_000
    assert loaded.tokenizer_origin == "stand-in"
