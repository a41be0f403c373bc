"""What holds of every choice, whatever is known: any candidates, records and qualities."""

import math

from choices import VARIANTS, candidate, exclusions, fine_tuning, inference, judged, name_of, plan
from hypothesis import given
from hypothesis import strategies as st
from made import changed

from conftest import at_most
from ohlora_fixtures.choice.selection import DEFAULT_WEIGHTS, select
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.results.comparison import compare

EACH_A_SESSION = at_most(60)
FIGURE = st.none() | st.sampled_from([10.0, 20.0, 40.0, 80.0])
MEMORY = st.none() | st.sampled_from([2000.0, 6000.0, 12288.0, 12289.0])
OUTCOME = st.sampled_from(["passed"] * 8 + ["error", "over_budget", "failed"])


@st.composite
def sessions(draw):
    """Candidates, records and qualities, as far as anything is known."""
    candidates, records, qualities = [], [], {}
    for name in draw(st.sets(st.sampled_from("abcde"), min_size=1)):
        average, is_free = draw(FIGURE), draw(st.sampled_from([True, True, False]))
        candidates.append(candidate(name, leaderboard_average=average, free_license=is_free))
        cases = [fine_tuning(name, variant) for variant in draw(st.sets(st.sampled_from(VARIANTS), max_size=2))]
        for case in [inference(name), *cases]:
            changes = {"outcome": draw(OUTCOME), "peak_device_mib": draw(MEMORY)}
            changes["seconds"] = changes["steady_median_seconds"] = draw(FIGURE)
            records.append(changed(case, **changes))
            if draw(st.booleans()):
                records.append(plan(case, peak_device_mib=draw(MEMORY)))
            if (score := draw(FIGURE)) is not None:
                source = draw(st.sampled_from(["computed", "person"]))
                variant = case.case.variant
                qualities[answering_case(name, variant)] = [judged(score, source, is_tuned=variant is not None)]
    return candidates, records, qualities


@EACH_A_SESSION
@given(sessions(), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_candidates_or_records(session, chance):
    candidates, records, qualities = session

    def conclusion(candidates, records):
        found = select(compare(candidates, VARIANTS, records, {}), qualities, DEFAULT_WEIGHTS, any_license=False)
        turns = [(each.criterion, each.side, each.turns_at, name_of(each.becomes)) for each in found.shifts]
        ranking = [(name_of(option), option.total, option.scores) for option in found.ranking]
        return name_of(found.choice), name_of(found.reserve), ranking, turns, sorted(exclusions(found), key=str)

    turned = (chance.sample(each, len(each)) for each in (candidates, records))
    assert conclusion(*turned) == conclusion(candidates, records)


@EACH_A_SESSION
@given(sessions())
def test_every_candidate_is_ranked_or_named_as_excluded_and_every_number_is_one(session):
    candidates, records, qualities = session
    found = select(compare(candidates, VARIANTS, records, {}), qualities, DEFAULT_WEIGHTS, any_license=False)
    told = {option.candidate.name for option in (*found.ranking, *found.possible)}
    told |= {each.candidate for each in found.excluded}
    assert told == {each.name for each in candidates}
    assert all(each.reason for each in found.excluded)
    for option in found.ranking:
        assert option.candidate.free_license
        shares = [score for score in option.scores.values() if score is not None]
        assert all(0 <= share <= 1 for share in shares)
        assert option.total is None or 0 <= option.total <= 100
    assert found.reserve is None or found.reserve.candidate != found.choice.candidate


@EACH_A_SESSION
@given(sessions())
def test_a_weight_moved_a_little_past_its_turn_changes_the_choice_and_short_of_it_does_not(session):
    candidates, records, qualities = session
    comparison = compare(candidates, VARIANTS, records, {})

    def choice(**weights):
        return select(comparison, qualities, DEFAULT_WEIGHTS | weights, any_license=False).choice

    found = select(comparison, qualities, DEFAULT_WEIGHTS, any_license=False)
    for each in found.shifts:
        step = math.copysign(1e-6, 1 if each.side == "above" else -1) * each.turns_at
        beyond = choice(**{each.criterion: each.turns_at + step})
        assert beyond.candidate.name == each.becomes.candidate.name != found.choice.candidate.name
        if each.turns_at != each.weight:
            assert choice(**{each.criterion: each.turns_at - step}).candidate == found.choice.candidate
