"""The criteria: size, the licence that binds, Korean; and what can be known of each."""

import re

import pytest

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.commands.criteria import Criteria, screen
from ohlora_fixtures.commands.leaderboard import Listed
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.terms import _licenses, all_families, card_terms, families, same_count

OURS = {each.repo.lower(): each for each in read_candidates(DATA / "candidates.toml")}


def listed(repo="someone/plain-ko", card_license="apache-2.0", billions=1.0, **more):
    return Listed(repo=repo, average=30.0, billions=billions, card_license=card_license, **more)


def screened(*given, settings=None, assume_korean=False, any_license=False, **more):
    return screen(listed(*given, **more), OURS, settings, Criteria(assume_korean, any_license))


def kinds(found):
    return [reason.kind for reason in found.reasons]


@pytest.mark.parametrize("billions", [0.25, 1, 3.0])
def test_both_ends_of_the_range_are_in_it(billions):
    assert kinds(screened(billions=billions)) == []


@pytest.mark.parametrize("billions", [0.249, 3.01])
def test_what_is_outside_is_dropped_and_is_no_near_miss(billions):
    found = screened(billions=billions)
    assert kinds(found) == ["not of 0.25 to 3.0 B parameters"]
    assert found.reasons[0].words == f"{billions} B parameters"
    assert not found.is_near_miss


def test_an_unknown_size_drops_a_model_as_a_near_miss():
    found = screened(billions=None)
    assert kinds(found) == ["of a size that is not known"]
    assert found.is_near_miss


@pytest.mark.parametrize(
    ("parameters", "reasons"), [(250_000_000, []), (3_000_000_000, []), (3_000_000_001, ["3 B parameters"])]
)
def test_an_exact_count_goes_before_the_leaderboards(parameters, reasons):
    found = screened(billions=70.0).with_parameters(parameters)
    assert [reason.words for reason in found.reasons] == reasons
    assert screened("EleutherAI/polyglot-ko-1.3b", billions=5.0).parameters == 1331810304
    assert kinds(screened("EleutherAI/polyglot-ko-1.3b", billions=5.0)) == []


@pytest.mark.parametrize(
    "card_license", ["apache-2.0", "Apache 2.0", "Apache License 2.0", "MIT", "MIT License", "cc-by-4.0", "['mit']"]
)
def test_licences_that_leave_use_change_and_sharing_free(card_license):
    terms = card_terms(card_license)
    assert terms.free
    assert terms.is_card_alone


@pytest.mark.parametrize(
    ("card_license", "why"),
    [
        ("cc-by-nc-4.0", "forbids commercial use"),
        ("CC BY-NC-SA 4.0", "forbids commercial use"),
        ("cc-by-nd-4.0", "forbids sharing what was changed"),
        ("llama3.2", "restricts what it may be used for, or by whom"),
        ("gemma", "restricts what it may be used for, or by whom"),
        ("openrail", "restricts what it may be used for, or by whom"),
    ],
)
def test_licences_that_do_not(card_license, why):
    assert (card_terms(card_license).free, card_terms(card_license).basis) == (False, why)


@pytest.mark.parametrize("card_license", ["", "other", "?", "cc", "my-own-terms", "=1+1", "apache-2.0\x1b[2J" * 99])
def test_a_licence_that_is_not_known_is_not_taken_for_free(card_license):
    found = screened(card_license=card_license)
    assert kinds(found) == ["of a licence not known to be free"]
    assert len(found.reasons[0].words) < 120
    assert found.reasons[0].words.isprintable()


@pytest.mark.parametrize(
    ("model", "binds"),
    [
        ({"repo": "x/gemma-ko-v01"}, "Gemma Terms of Use"),
        ({"repo": "x/KoGemma2B"}, "Gemma Terms of Use"),
        ({"repo": "x/Llama-3.2-Korean-1B"}, "Llama Community License"),
        ({"repo": "x/ko-llama3"}, "Llama Community License"),
        ({"repo": "x/EXAONE-ko"}, "EXAONE AI Model License (non-commercial)"),
        ({"repo": "x/HyperCLOVAX-SEED-ko"}, "HyperCLOVA X SEED licence"),
        ({"repo": "x/Qwen2.5-3B-ko"}, "Qwen Research License"),
        ({"repo": "x/Qwen1.5-0.5B-ko"}, "Tongyi Qianwen Research License"),
        ({"base": "Qwen/Qwen1.5-1.8B-Chat"}, "Tongyi Qianwen Research License"),
        ({"base": "Qwen/Qwen1.5-14B"}, "Tongyi Qianwen License"),
        ({"base": "meta-llama/Llama-3.2-1B (Merge)"}, "Llama Community License"),
        ({"base": "Yebin46/llama1B"}, "Llama 3.2 Community License"),
        ({"architecture": "Gemma2ForCausalLM"}, "Gemma Terms of Use"),
        ({"settings": {"model_type": "gemma3_text"}}, "Gemma Terms of Use"),
        ({"settings": {"_name_or_path": "./out/gemma-2b"}}, "Gemma Terms of Use"),
        ({"repo": "cpm-ai/gemma-ko-v01"}, "Gemma Terms of Use"),
        ({"repo": "YEBIN46/LLAMA1b"}, "Llama 3.2 Community License"),
    ],
)
def test_a_bases_licence_binds_whatever_the_card_says(model, binds):
    found = screened(**model)
    assert kinds(found) == ["of a licence that is not free"]
    assert found.terms.license == binds


@pytest.mark.parametrize(
    "model",
    [
        {"repo": "x/TinyLlama-1.1B-ko"},
        {"repo": "x/open_llama-ko"},
        {"repo": "x/ko-Gemma-4-E2B"},
        {"repo": "x/ko-qwen-llamafied"},
        {"architecture": "LlamaForCausalLM"},
        {"settings": {"model_type": "llama", "_name_or_path": None}},
    ],
)
def test_what_only_looks_like_a_restricted_base_does_not_bind(model):
    assert kinds(screened(**model)) == []


def test_any_licence_will_do_where_it_is_asked_for_and_is_named_all_the_same():
    found = screened("x/gemma-ko-v01", any_license=True)
    assert (kinds(found), found.terms.license, found.terms.free) == ([], "Gemma Terms of Use", False)
    assert kinds(screened("x/gemma-v01", any_license=True, languages="en")) == ["without Korean"]


def test_the_less_free_of_card_and_base_binds():
    found = screened("x/polyglot-ko", card_license="cc-by-nc-4.0")
    assert (found.terms.license, found.terms.free) == ("cc-by-nc-4.0", False)
    assert screened("x/Qwen3-0.6B-ko", card_license="other").terms.free is None


def test_where_the_card_is_all_there_is_it_says_so():
    assert screened().terms.is_card_alone
    with_base = screened("x/Qwen3-0.6B-ko").terms
    assert not with_base.is_card_alone
    assert with_base.basis == "its card; Qwen3 is apache-2.0"


@pytest.mark.parametrize(
    ("model", "level", "basis"),
    [
        ({"repo": "EleutherAI/polyglot-ko-1.3b"}, "specialised", "known to the suite"),
        ({"repo": "x/plain", "languages": "['ko']"}, "specialised", "its languages"),
        ({"repo": "x/plain", "languages": "en, ko"}, "supported", "its languages"),
        ({"repo": "x/plain", "languages": "English, Korean"}, "supported", "its languages"),
        ({"repo": "x/plain-ko"}, "specialised", "its name"),
        ({"repo": "x/Plain_Korean_1B"}, "specialised", "its name"),
        ({"repo": "x/KoAlpaca-1B"}, "specialised", "its name"),
        ({"repo": "x/plain-kor", "languages": "en"}, "specialised", "its name"),
        ({"repo": "x/Qwen2.5-1.5B-it"}, "supported", "made from Qwen2.5"),
        ({"repo": "x/plain", "base": "DILAB-HYU/koquality-polyglot-1.3b"}, "specialised", None),
        ({"repo": "x/plain"}, None, "no evidence"),
        ({"repo": "x/kosmos-korvai-kogpt"}, None, "no evidence"),
        ({"repo": "korean/plain"}, None, "no evidence"),
        ({"repo": "x/plain", "languages": "en, zh"}, "no", "its languages"),
    ],
)
def test_korean_is_known_by_the_suite_the_languages_the_name_or_the_base(model, level, basis):
    found = screened(**model).korean
    assert found.level == level
    assert found.basis == basis or basis is None


def test_unknown_korean_drops_a_model_unless_it_is_assumed():
    assert kinds(screened("x/plain")) == ["not known to be for Korean"]
    assumed = screened("x/plain", assume_korean=True)
    assert kinds(assumed) == []
    assert (assumed.korean.level, assumed.korean.basis) == ("supported", "assumed, without evidence")


def test_assuming_korean_does_not_go_against_what_is_known():
    assert kinds(screened("x/plain", languages="en", assume_korean=True)) == ["without Korean"]
    assert screened(assume_korean=True).korean.basis == "its name"


def test_every_reason_is_told():
    found = screened("x/plain", card_license="other", billions=70.0)
    assert [reason.words for reason in found.reasons] == [
        "70 B parameters",
        "licence other (not among the licences known here)",
        "Korean: not known",
    ]


def test_the_lists_of_licences_and_families_are_sound():
    assert {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "gpl-3.0"} <= {
        each for each, kind in _licenses().items() if kind.free
    }
    assert {"gemma", "llama3.2", "openrail", "cc-by-nc-4.0"} <= {
        each for each, kind in _licenses().items() if not kind.free
    }
    for family in all_families():
        assert re.compile(family.pattern)
        assert family.korean in (None, "supported", "specialised")
        card = card_terms(family.license)
        assert card.free in (None, family.free), family.name


@pytest.mark.parametrize("candidate", OURS.values(), ids=lambda candidate: candidate.name)
def test_every_candidates_licence_can_be_looked_up_and_no_free_one_has_a_restricted_bases_size(candidate):
    assert candidate.license_source.startswith("https://")
    assert not candidate.free_license or same_count(candidate.parameters) is None
    assert all(family.free for family in families(candidate.base_model or "")) or not candidate.free_license


def test_where_a_card_is_silent_a_bases_count_to_the_last_parameter_is_a_hint():
    found = screened().with_parameters(463_987_712)
    assert (kinds(found), found.terms.suspect.name) == ([], "Qwen1.5 0.5B, 1.8B or 4B")
    assert screened().with_parameters(463_987_713).terms.suspect is None
    assert screened("x/Qwen3-ko").with_parameters(463_987_712).terms.suspect is None  # its base is known


@pytest.mark.parametrize("candidate", OURS.values(), ids=lambda candidate: candidate.name)
def test_families_do_not_contradict_the_suites_own_candidates(candidate):
    found = list(families(candidate.name, architecture=candidate.architecture()["model_type"]))
    assert all(family.free for family in found) or not candidate.free_license


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen3-0.6B", ["Qwen3"]),
        ("Qwen2.5-Coder-3B", ["Qwen2.5 3B"]),
        ("Qwen2.5-32B", ["Qwen2.5"]),
        ("Qwen3.5-2B", ["Qwen3.5"]),
        ("kanana-1.5-2.1b", ["Kanana 1.5"]),
        ("kanana-nano-2.1b", ["Kanana Nano"]),
        ("gemma-3-4b", ["Gemma"]),
        ("gemma-4b", ["Gemma"]),
        ("gemma-4-E2B", ["Gemma 4"]),
        ("Llama-gemma-merge", ["Gemma", "Llama"]),
        ("bllossom", []),
    ],
)
def test_the_more_special_family_takes_a_name(name, family):
    assert [each.name for each in families(name)] == family
