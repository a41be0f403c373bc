"""Cases and their ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlora_fixtures.inputs.cases import FINE_TUNING, INFERENCE, Case, answering_case, is_case_id

CANDIDATES = ("gemma-2", "gemma-2-r16", "gemma-2-inference", "llama1B")
VARIANTS = ("r16", "r16-dora", "dora")
FILE = "benches/bench_fine_tuning.py::"


@pytest.mark.parametrize(
    ("case", "node_id"),
    [
        (Case("gemma-2", INFERENCE), "bench_inference[gemma-2]"),
        (Case("gemma-2", INFERENCE, is_planned=True), "bench_plan[gemma-2-inference]"),
        (Case("gemma-2", FINE_TUNING, "r16"), "bench_fine_tuning[gemma-2-r16]"),
        (Case("gemma-2", FINE_TUNING, "r16", is_planned=True), "bench_plan[gemma-2-r16]"),
        (Case("llama1B", "chatting"), "bench_chatting[llama1B]"),
        (Case("llama1B", "merging", "r16-dora"), "bench_merging[llama1B-r16-dora]"),
    ],
)
def test_an_id_of_each_kind_is_read_as_it_is_written(case, node_id):
    assert case.id == node_id
    for seen in (node_id, FILE + node_id, f"{node_id}@gemma-2", f"{FILE}{node_id}@gemma-2"):  # xdist adds its group
        assert Case.parse(seen, CANDIDATES, VARIANTS) == case
        assert is_case_id(seen)


@pytest.mark.parametrize(
    ("node_id", "case"),
    [
        # a candidate whose own name ends like a variant, and a variant that ends like another
        ("bench_inference[gemma-2-r16]", Case("gemma-2-r16", INFERENCE)),
        ("bench_fine_tuning[gemma-2-r16-r16]", Case("gemma-2-r16", FINE_TUNING, "r16")),
        ("bench_fine_tuning[gemma-2-r16-dora]", Case("gemma-2-r16", FINE_TUNING, "dora")),
        ("bench_fine_tuning[llama1B-r16-dora]", Case("llama1B", FINE_TUNING, "r16-dora")),
        ("bench_plan[gemma-2-inference]", Case("gemma-2", INFERENCE, is_planned=True)),
        ("bench_plan[gemma-2-inference-inference]", Case("gemma-2-inference", INFERENCE, is_planned=True)),
        ("bench_plan[gemma-2-inference-r16]", Case("gemma-2-inference", FINE_TUNING, "r16", is_planned=True)),
    ],
)
def test_names_may_hold_dashes_and_end_like_variants(node_id, case):
    assert Case.parse(node_id, CANDIDATES, VARIANTS) == case


@pytest.mark.parametrize(
    "node_id",
    [
        "bench_inference[other]",
        "bench_fine_tuning[gemma-2-r64]",
        "bench_plan[gemma-2]",
        "bench_plan[gemma-2-dora-inference]",
        "bench_inference[]",
        "bench_inference",
        "test_inference[gemma-2]",
        "rebench_inference[gemma-2]",
        "bench_inference[gemma-2] and more",
        "",
    ],
)
def test_what_is_none_of_these_candidates_and_variants_is_no_case(node_id):
    assert Case.parse(node_id, CANDIDATES, VARIANTS) is None


def test_a_case_and_its_plan_lead_to_each_other_and_are_two_keys():
    measured = Case("gemma-2", FINE_TUNING, "r16")
    assert measured.planned.measured == measured.measured == measured
    assert measured.planned.planned == measured.planned != measured
    assert len({measured, measured.planned, Case("gemma-2", FINE_TUNING, "r16")}) == 2


def test_answers_are_those_of_the_case_that_ran_before_them():
    assert answering_case("gemma-2", None) == Case("gemma-2", INFERENCE)
    assert answering_case("gemma-2", "r16") == Case("gemma-2", FINE_TUNING, "r16")


NAMES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,6}", fullmatch=True)


@given(
    st.lists(NAMES, min_size=1, unique=True),
    st.lists(NAMES.filter(lambda name: name != INFERENCE), unique=True),
    st.data(),
)
def test_every_id_leads_back_to_its_case_where_only_one_case_has_it(candidates, variants, data):
    cases = [Case(name, INFERENCE) for name in candidates]
    cases += [Case(name, FINE_TUNING, variant) for name in candidates for variant in variants]
    cases += [case.planned for case in cases]
    case = data.draw(st.sampled_from(cases))
    alike = [each for each in cases if each.id == case.id]
    assert Case.parse(case.id, candidates, variants) in alike
