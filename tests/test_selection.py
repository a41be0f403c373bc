"""The choice: weights, and a ranking that neither helps nor harms what is not known."""

from dataclasses import replace

import pytest
from choices import BOUND, VARIANTS, candidate, chosen, exclusions, fine_tuning, inference, judged, name_of, plan
from made import made, said

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.choice.selection import CRITERIA, DEFAULT_WEIGHTS, parse_weights


@pytest.mark.parametrize(
    "text",
    [
        "quality",
        "quality=",
        "quality=much",
        "quality=-1",
        "quality=nan",
        "quality=inf",
        "quality=1001",
        "=1",
        "speed=1",
        "quality:5",
        "quality=0.5=1",
        "Quality=1",
        "quality = 5",
        "quality=0,5",
    ],
)
def test_a_weight_that_does_not_parse_is_told_with_all_names(text):
    with pytest.raises(InputError) as told:
        parse_weights(text)
    assert "is not NAME=WEIGHT, with a weight from 0 to 1000 and one of the names quality, leaderb" in str(told.value)


def test_weights_that_leave_nothing_or_contradict_each_other_are_refused():
    with pytest.raises(InputError, match="choice weights are all 0: give at least one criterion a weight above 0"):
        parse_weights(" ".join(f"{name}=0" for name in CRITERIA))
    with pytest.raises(InputError, match="choice weight 'quality' is given more than once: leave one of them"):
        parse_weights("quality=1 quality=2")


@pytest.mark.parametrize("text", ["quality=2 leaderboard=0", "quality=2,leaderboard=0", " quality=2.0, leaderboard=0,"])
def test_weights_that_are_not_named_keep_their_defaults(text):
    assert parse_weights(text) == {**DEFAULT_WEIGHTS, "quality": 2, "leaderboard": 0}
    assert parse_weights("") == DEFAULT_WEIGHTS
    assert parse_weights("quality=1000")["quality"] == 1000


def test_scores_are_shares_of_what_could_be():
    records = [fine_tuning("x", seconds=30.0, peak_device_mib=3072.0), inference("x", peak_device_mib=12288.0)]
    records += [fine_tuning("y", seconds=120.0), inference("y", steady_median_seconds=4.0)]
    x, y = chosen([], records, {"x": judged(80.0), "y": judged(20.0)}).ranking
    assert x.figures == dict(zip(CRITERIA, (80.0, 30.0, 30.0, 3072.0, 2.0, 12288.0), strict=True))
    assert x.scores == dict(zip(CRITERIA, (0.8, 0.3, 1, 0.75, 1, 0), strict=True))
    assert (x.total, y.scores["fine_tuning_seconds"], y.scores["inference_seconds"]) == (70.5, 0.25, 0.5)


def test_the_reserve_is_the_best_of_another_candidate():
    records = [fine_tuning(name, variant) for name in ("x", "y") for variant in VARIANTS]
    found = chosen([], records, {"x": judged(70.0), "y": judged(60.0), ("y", "r64"): judged(65.0)})
    assert [name_of(each) for each in found.ranking[:4]] == [("x", "r16"), ("x", "r32"), ("x", "r64"), ("y", "r64")]
    assert (name_of(found.choice), name_of(found.reserve)) == (("x", "r16"), ("y", "r64"))


def test_one_candidate_has_no_reserve_and_nothing_can_change_the_choice():
    found = chosen([], [fine_tuning("x"), fine_tuning("x", "r64")], {"x": judged(50.0)})
    assert (name_of(found.choice), found.reserve, found.shifts) == (("x", "r16"), None, ())


def test_without_a_candidate_there_is_no_choice():
    for records in ([], [fine_tuning("bound")]):
        found = chosen([BOUND], records)
        assert (found.choice, found.reserve, found.ranking, found.possible, found.shifts) == (None, None, (), (), ())


def test_where_nothing_that_has_a_weight_is_known_there_is_no_choice():
    weights = dict.fromkeys(CRITERIA, 0.0) | {"inference_seconds": 1.0}
    found = chosen([], [fine_tuning("x")], weights=weights)
    assert (found.choice, name_of(found.ranking[0]), found.ranking[0].total) == (None, ("x", "r16"), None)


@pytest.mark.parametrize(
    ("known", "score"),
    [
        ([judged(40.0), judged(90.0, "judge", is_tuned=False), judged(10.0, "person", is_tuned=False)], 10),
        ([judged(40.0), judged(90.0, "judge"), judged(80.0, "judge", is_tuned=False)], 90),
        ([judged(90.0, is_tuned=False), judged(40.0)], 40),
        ([judged(90.0, is_tuned=False)], 90),
    ],
)
def test_a_person_outranks_a_judge_and_the_tuned_models_answers_the_untuned_ones(known, score):
    by_subject = {
        ("x", variant): [each for each in known if each.is_tuned is (variant is not None)] for variant in ("r16", None)
    }
    assert chosen([], [fine_tuning("x")], by_subject).choice.quality.score == score


def test_without_judged_answers_there_is_no_choice_and_what_remains_possible_is_told_unranked():
    records = [
        fine_tuning("x", peak_device_mib=12000.0),
        fine_tuning("y"),
        fine_tuning("y", "r32"),
        fine_tuning("bound"),
    ]
    for weights in ({}, {"quality": 0.0}):
        found = chosen([BOUND], records, {}, weights)
        assert (found.choice, found.reserve, found.ranking, found.shifts, found.front) == (None, None, (), (), ())
        assert str(found.obstacle) == "no model's answers are judged"
        assert [name_of(each) for each in found.possible] == [("x", "r16"), ("y", "r16"), ("y", "r32")]
        assert {each.total for each in found.possible} == {None}
        assert exclusions(found) == [("bound", None, "licence: Gemma Terms of Use")]


def test_where_one_candidate_alone_is_judged_it_is_chosen_only_if_nothing_else_remains():
    records = [fine_tuning("x"), fine_tuning("x", "r32"), fine_tuning("y")]
    found = chosen([], records, {"x": judged(90.0, "person")})
    assert found.choice is None
    assert str(found.obstacle) == "only the answers of x are judged, and nothing compares with them"
    assert len(found.possible) == 3
    assert name_of(chosen([], records[:2], {"x": judged(90.0, "person")}).choice) == ("x", "r16")


def test_options_are_compared_by_one_source_that_has_judged_most_candidates():
    """Grading the better candidate must not hand the choice to the worse."""
    records = [fine_tuning("good"), fine_tuning("word-salad")]
    five = replace(judged(20.0, "person"), judged=5, given=25)
    computed = {("good", "r16"): [five, judged(60.0)], ("word-salad", "r16"): [judged(40.0)]}
    found = chosen([], records, computed)
    assert {each.quality.source for each in found.ranking} == {"computed"}
    assert name_of(found.choice) == ("good", "r16")
    assert said(found.doubts) == (
        "a person's grades do not count, as not all options have them: good r16 (5 of 25 answers)",
    )
    both = computed | {("word-salad", "r16"): [judged(10.0, "person"), judged(90.0)]}
    found = chosen([], records, both)
    assert {each.quality.source for each in found.ranking} == {"person"}
    assert name_of(found.choice) == ("good", "r16")
    assert said(found.doubts) == ("judged on some of the answers alone: good r16 (5 of 25 answers)",)


def test_what_is_not_judged_is_not_compared():
    records = [fine_tuning(name) for name in ("x", "y", "z")]
    found = chosen([], records, {"x": judged(50.0), "y": judged(60.0)})
    assert (name_of(found.choice), name_of(found.reserve)) == (("y", "r16"), ("x", "r16"))
    assert [name_of(each) for each in found.possible] == [("z", "r16")]
    assert said(found.doubts) == ("not compared, as their answers are not judged: z r16",)


def test_where_fine_tuning_makes_answers_worse_it_is_said():
    records = [fine_tuning("x"), fine_tuning("y")]
    qualities = {"x": judged(80.0, is_tuned=False), ("x", "r16"): judged(70.0)}
    qualities |= {"y": judged(40.5, is_tuned=False), ("y", "r16"): judged(32.0)}
    found = chosen([], records, qualities)
    assert (found.choice.untuned.score, found.choice.quality.score) == (80.0, 70.0)
    assert said(found.doubts) == ("fine-tuning has made the choice's answers worse: x r16 80.0 → 70.0",)
    assert "fine-tuning has made answers worse: y r16 40.5 → 32.0" in said(found.cautions)


def test_a_computed_score_without_matched_answers_is_a_doubt_and_no_less_an_option():
    """It is of an earlier version's record, or of a dataset without rows to hold out."""
    records = [fine_tuning("x"), fine_tuning("y")]
    qualities = {("x", "r16"): replace(judged(60.0), is_matched=False), ("y", "r16"): judged(50.0)}
    found = chosen([], records, qualities)
    assert name_of(found.choice) == ("x", "r16")
    (doubt,) = said(found.doubts)
    assert doubt.startswith("the computed score lacks the matching of held-out answers")
    assert doubt.endswith(": x r16")
    assert chosen([], records, qualities | {("x", "r16"): replace(judged(60.0), is_matched=True)}).doubts == ()


def test_seconds_of_a_cpu_do_not_count():
    records = [
        fine_tuning(name, seconds=seconds, device="cpu (x86_64, 2 cores)") for name, seconds in (("x", 9.0), ("y", 1.0))
    ]
    found = chosen([], records)
    assert {each.figures["fine_tuning_seconds"] for each in found.ranking} == {None}
    assert "seconds of a CPU do not count in a choice for a card" in said(found.cautions)


def test_a_time_that_its_own_raw_data_contradict_does_not_count():
    found = chosen([], [fine_tuning("x", seconds=10.0, contradicted_seconds=90.0)])
    assert found.choice.figures["fine_tuning_seconds"] == 10.0
    assert any(
        "the published 90.00 s contradict their raw data and do not count" in each for each in said(found.cautions)
    )


def test_a_restricted_bases_count_of_parameters_is_a_caution():
    found = chosen([candidate("x", parameters=463_987_712)], [fine_tuning("x")])
    assert any("as a model of Qwen1.5 0.5B, 1.8B or 4B: see whether" in each for each in said(found.cautions))


@pytest.mark.parametrize("criterion", CRITERIA[1:])
def test_what_is_not_known_neither_helps_nor_harms(criterion):
    """An option like another in all that is known of it is level with that one, however high or low the figure is."""

    def records(name, is_known):
        unknown = {} if is_known else {"seconds": None, "steady_median_seconds": None}
        memory = {} if is_known else {"peak_device_mib": None}
        tuning = unknown if criterion == "fine_tuning_seconds" else memory if criterion == "fine_tuning_memory" else {}
        asked = unknown if criterion == "inference_seconds" else memory if criterion == "inference_memory" else {}
        return [fine_tuning(name, **tuning), inference(name, **asked)]

    average = None if criterion == "leaderboard" else 30.0
    qualities = {"known": judged(20.0), "unknown": judged(20.0)}
    found = chosen(
        [candidate("known"), candidate("unknown", leaderboard_average=average)],
        [*records("known", is_known=True), *records("unknown", is_known=False)],
        qualities,
    )
    known, unknown = found.ranking
    assert (unknown.figures[criterion], unknown.total) == (None, known.total)
    assert any("not known for unknown r16: the mean of the others is used" in each for each in said(found.unknown))
    assert any(
        "tied with the choice and ranked after it only by name: unknown r16" in each for each in said(found.cautions)
    )


def test_what_could_not_be_known_is_said():
    plans = [plan(fine_tuning(name)) for name in ("x", "y")]
    found = chosen([candidate("x", leaderboard_average=None)], plans)
    assert said(found.unknown) == (
        ("not known for any candidate, so not counted: fine-tuning time, inference time, inference memory"),
        "leaderboard average not known for x r16: the mean of the others is used",
    )
    records = [fine_tuning("x", peak_device_mib=None, not_judged="weights are random"), fine_tuning("y")]
    assert said(chosen([], records, weights={"quality": 0.0}).unknown) == (
        "not known for any candidate, so not counted: inference time, inference memory",
        "fine-tuning memory not known for x r16: the mean of the others is used",
        "answers of x r16 were not judged: weights are random",
        "not checked against the budget, as no peak memory was measured or planned: x r16",
    )


def test_memory_is_read_alike_from_every_option():
    both = [fine_tuning("x", peak_device_mib=5000.0), plan(fine_tuning("x", peak_device_mib=6000.0))]
    found = chosen([], [*both, plan(fine_tuning("y", peak_device_mib=5500.0))])
    assert found.bases["fine_tuning_memory"] == "planned peak_device_mib"
    assert {each.candidate.name: each.figures["fine_tuning_memory"] for each in found.ranking} == {"x": 6000, "y": 5500}
    assert "memory is planned, not measured" in said(found.cautions)
    study = {"peak_device_mib": None, "allocated_after_mib": 4000.0}
    found = chosen([], [fine_tuning("x", **study), fine_tuning("y", **study)])
    assert found.bases["fine_tuning_memory"] == "allocated_after_mib"
    assert any("allocated after the run, not the peak" in each for each in said(found.cautions))


def test_of_a_measured_case_the_plan_for_its_very_lengths_goes_first():
    found = chosen(
        [],
        [
            fine_tuning("x", planned_peak_device_mib=7000.0),
            plan(fine_tuning("x", peak_device_mib=8000.0)),
            plan(fine_tuning("y", peak_device_mib=8000.0)),
        ],
    )
    assert [each.figures["fine_tuning_memory"] for each in found.ranking] == [7000, 8000]


def test_memory_weighs_as_a_share_of_what_a_plan_is_held_to():
    plans = [made("x", "r16", is_planned=True, peak_device_mib=6000.0, usable_mib=mib) for mib in (None, 8000.0)]
    shares = [chosen([], [plan]).choice.scores["fine_tuning_memory"] for plan in plans]
    assert shares == [pytest.approx(1 - 6000 / 12288), pytest.approx(0.25)]


def test_budgets_that_differ_are_told_and_weigh_alike():
    records = [fine_tuning("x", budget_mib=12288.0), fine_tuning("y", budget_mib=24576.0)]
    for given_records in (records, records[::-1]):
        found = chosen([], given_records)
        assert [each.scores["fine_tuning_memory"] for each in found.ranking] == [1 - 9000 / 24576] * 2
        assert (
            "budgets differ (12288 MiB, 24576 MiB): each option was checked against its own, and memory is scored as "
            "a share" in (" ".join(said(found.cautions)))
        )
    assert exclusions(chosen([], [fine_tuning("x", budget_mib=8192.0), records[1]]))[0][:2] == ("x", "r16")


def test_what_speaks_against_an_option_is_told():
    records = [
        fine_tuning("x", is_overfitted=True, device="NVIDIA L4"),
        fine_tuning("x", "r32", taints=["throttled"]),
        fine_tuning("y", taints=[]),
        inference("y", taints=["other processes"]),
    ]
    qualities = {("x", "r16"): judged(50.0), ("x", "r32"): judged(50.0), "y": judged(40.0, is_tuned=False)}
    assert said(chosen([], records, qualities).cautions) == (
        "measured on 2 devices, so times and memory do not compare",
        "the quality of y r16 is that of the untuned model's answers",
        "overfitted, the training rows memorised: x r16",
        "doubtful measurements: x r32, y r16",
    )


def test_the_front_is_of_options_that_are_worse_in_nothing():
    records = [
        fine_tuning("best"),
        fine_tuning("quick", seconds=30.0),
        fine_tuning("small", peak_device_mib=1000.0),
        fine_tuning("worse", seconds=61.0),
        fine_tuning("unknown", seconds=None),
    ]
    grades = {"best": 70.0, "quick": 60.0, "small": 50.0, "worse": 70.0, "unknown": 99.0}
    qualities = {name: judged(score) for name, score in grades.items()}
    assert {each.candidate.name for each in chosen([], records, qualities).front} == {"best", "quick", "small"}
    assert chosen([], records, {}).front == ()


def test_of_options_alike_the_first_variant_and_the_first_name_lead():
    records = [fine_tuning(name, variant) for variant in ("r64", "r16") for name in ("b", "a")]
    assert [name_of(each) for each in chosen([], records).ranking] == [
        ("a", "r16"),
        ("a", "r64"),
        ("b", "r16"),
        ("b", "r64"),
    ]
