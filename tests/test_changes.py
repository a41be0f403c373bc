"""What would make a candidate fit that fits in no chosen variant, and how accumulated gradients are planned."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from made import made, said

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import Protocol, Rows
from ohlora_fixtures.inputs.variants import Variant, lora, shipped
from ohlora_fixtures.planner import candidate_planner, changes, runs
from ohlora_fixtures.planner.plan import PlanStore
from ohlora_fixtures.planner.planner import Planner
from ohlora_fixtures.planner.steps import NotComposableError
from ohlora_fixtures.planner.traced_candidate import TracedCandidate
from ohlora_fixtures.report import changes as told_changes
from ohlora_fixtures.results.comparison import compare
from ohlora_fixtures.results.record import plain

ACCUMULATING = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}


@pytest.fixture
def settings(tiny):
    return SimpleNamespace(
        candidates=read_candidates(tiny()),
        dialogues=read_dialogues(DATA / "dialogues.csv"),
        protocol=Protocol(epochs=2),
        variants=(lora(8),),
        model_dir=None,
        budget_mib=12288.0,
        gpu_profile=read_profiles(DATA / "gpus.toml")[0],
    )


def planned(settings, variant, **protocol):
    """The plan of a variant alone."""
    alone = SimpleNamespace(**vars(settings) | {"variants": (variant,)})
    alone.protocol = replace(settings.protocol, **protocol)
    return Planner(alone, PlanStore(None)).plan(settings.candidates[0], variant)


def found(settings, store=None):
    return Planner(settings, PlanStore(store)).changes(settings.candidates[0], settings.variants[0])


def test_the_changes_are_those_of_shipped_variants():
    for name, change in changes._changes_of(lora(16), Protocol()).items():
        assert replace(lora(16), name=f"r16-{name}", **change) == shipped(f"r16-{name}")


def test_the_cheapest_change_that_fits_is_what_planning_that_variant_says(settings, tmp_path):
    whole = planned(settings, lora(8))
    accumulating = planned(settings, replace(lora(8), training=ACCUMULATING))
    settings.budget_mib = accumulating.needs_device_mib
    change = found(settings, tmp_path)
    assert change.added[0].needs_device_mib == whole.needs_device_mib
    assert (change.variant, change.added[0].told, change.not_planned) == ("r8", (), ())
    assert said(change.enough.told) == ("batch 1 x 4",)
    assert change.enough == change.added[-1]
    assert change.enough.variant["training"] == ACCUMULATING
    assert change.enough.needs_device_mib == accumulating.needs_device_mib
    assert (change.enough.work, change.enough.seconds) == (accumulating.work, accumulating.seconds)
    assert Planner(settings, PlanStore(tmp_path)).is_kept(settings.candidates[0], None) is False
    assert found(settings, tmp_path) == change

    settings.budget_mib -= 1  # no longer enough: what is named is planned, and what is not needed is dropped
    more = found(settings)
    assert len(more.added) > 2
    assert said(more.added[1].told) == ("batch 1 x 4",)
    assert more.enough.needs_device_mib <= settings.budget_mib
    assert more.enough.needs_device_mib == planned(settings, Variant(**more.enough.variant)).needs_device_mib
    assert all(each.needs_device_mib > settings.budget_mib for each in more.added[:-1])


def test_rows_are_cut_to_the_most_tokens_with_which_it_fits(settings, write_dataset):
    answers = dict.fromkeys(range(140), "아" * 20) | {125: "아" * 700, 130: "아" * 690}
    settings.dialogues = read_dialogues(write_dataset(answers=answers))
    settings.protocol = Protocol(epochs=2, max_row_tokens=2000)
    settings.candidates = [replace(settings.candidates[0], chars_per_token=2.0)]
    whole, cut = planned(settings, lora(8)), planned(settings, lora(8), max_row_tokens=200)
    settings.budget_mib = float(round((whole.needs_device_mib + cut.needs_device_mib) / 2))
    change = found(settings).enough
    assert change.told[0].key == "changed.rows"
    assert str(change.told[0]) == f"rows cut to {change.row_tokens} tokens (2 of 20)"
    assert change.variant == lora(8).as_dict() | {"name": "r8-rows"}
    assert planned(settings, lora(8), max_row_tokens=change.row_tokens).needs_device_mib == change.needs_device_mib
    assert change.needs_device_mib <= settings.budget_mib
    assert planned(settings, lora(8), max_row_tokens=change.row_tokens + 1).needs_device_mib > settings.budget_mib


def test_where_all_changes_are_not_enough_the_least_is_told(settings):
    settings.budget_mib = 100.0
    settings.variants = (lora(256), lora(8))
    change = found(settings)
    assert (change.variant, change.enough) == ("r8", None)
    needed = [each.needs_device_mib for each in change.added]
    assert needed == sorted(set(needed), reverse=True)
    assert change.least_mib == needed[-1] > 100.0


def test_a_candidate_that_fits_in_a_variant_needs_no_change(settings):
    low, high = (planned(settings, lora(rank)).needs_device_mib for rank in (8, 512))
    settings.variants = (lora(512), lora(8))
    settings.budget_mib = low
    assert low < high
    assert found(settings) is None
    assert Planner(settings, PlanStore(None)).changes(settings.candidates[0], lora(8)) is None  # not the first


def test_without_bitsandbytes_its_changes_are_named_and_not_planned(settings, monkeypatch):
    settings.budget_mib = 100.0
    monkeypatch.setattr(changes, "versions", dict)
    change = found(settings)
    assert said(change.not_planned) == (
        "8-bit AdamW and QLoRA were not planned without bitsandbytes: pip install 'bitsandbytes>=0.50'",
    )
    assert said(change.added[-1].told) == ("batch 1 x 4", "gradient checkpointing")
    settings.budget_mib = change.added[1].needs_device_mib  # without them it fits, so there is nothing to install
    assert found(settings).not_planned == ()


def test_what_a_library_refuses_is_told_and_the_next_change_is_tried(settings, monkeypatch):
    settings.budget_mib = 100.0

    def refused(*_):
        raise ValueError("not with this model")

    as_usual = changes.Changer._planned

    def planned_or_refused(self, names, most_tokens=None):
        return refused() if "checkpointing" in names else as_usual(self, names, most_tokens)

    monkeypatch.setattr(changes.Changer, "_planned", planned_or_refused)
    change = found(settings)
    assert said(change.not_planned) == ("gradient checkpointing: ValueError: not with this model",)
    assert all("gradient checkpointing" not in said(each.told) for each in change.added)
    assert "QLoRA" in said(change.added[-1].told)


@pytest.mark.parametrize("stop", [140, 138])
def test_a_run_that_accumulates_gradients_is_put_together_as_it_is_traced_whole(settings, monkeypatch, stop):
    """With 18 rows, each epoch's last step has two batches and not four."""
    settings.protocol = Protocol(epochs=4, fine_tuning_rows=Rows(120, stop))
    variant = replace(lora(8), training=ACCUMULATING)
    composed = planned(settings, variant)
    traced = []
    whole_of = candidate_planner.CandidatePlanner._traced_whole
    monkeypatch.setattr(
        candidate_planner.CandidatePlanner, "_traced_whole", lambda *given: traced.append(1) or whole_of(*given)
    )
    monkeypatch.setattr(candidate_planner, "_FEW_STEPS", 1000)
    whole = planned(settings, variant)
    assert traced
    assert composed.peak_allocated_mib == whole.peak_allocated_mib
    assert composed.breakdown_mib == pytest.approx(whole.breakdown_mib)
    assert (composed.peak_batch, composed.peak_batch_tokens) == (whole.peak_batch, whole.peak_batch_tokens)
    assert composed.work.products == whole.work.products
    for figure in ("peak_reserved_mib", "needs_mib"):
        assert getattr(composed, figure) == pytest.approx(getattr(whole, figure), abs=4)  # segments of the small pool


def test_of_a_long_run_that_cannot_be_put_together_its_first_steps_and_its_longest_are_traced(settings, monkeypatch):
    def refused(*_):
        raise NotComposableError("in this test")

    monkeypatch.setattr(runs, "batch_of_each", refused)
    settings.protocol = Protocol(epochs=4, fine_tuning_rows=Rows(120, 138))
    variant = replace(lora(8), training=ACCUMULATING)
    whole = planned(settings, variant)
    monkeypatch.setattr(runs, "_MANY_STEPS", 5)
    monkeypatch.setattr(runs, "_FEW_STEPS", 3)
    traced = []
    fine_tuning = TracedCandidate.fine_tuning
    monkeypatch.setattr(
        TracedCandidate,
        "fine_tuning",
        lambda *given, **named: traced.append(len(given[2])) or fine_tuning(*given, **named),
    )
    some = planned(settings, variant)
    assert traced[-1] == 6 * 4 < 4 * 18
    assert (some.peak_batch, some.peak_batch_tokens) == (whole.peak_batch, whole.peak_batch_tokens)
    assert some.peak_allocated_mib == pytest.approx(whole.peak_allocated_mib, rel=0.001)
    assert some.needs_mib == pytest.approx(whole.needs_mib, rel=0.05)
    assert some.work.flops == pytest.approx(whole.work.flops, rel=0.05)


def test_a_variant_that_accumulates_gradients_has_advice(settings):
    settings.variants = (replace(lora(8), name="r8-accumulation", training=ACCUMULATING),)
    candidate = settings.candidates[0]
    advice = Planner(settings, PlanStore(None)).advice(candidate, settings.variants[0])
    assert (advice.variant, advice.batch_size) == ("r8-accumulation", 1)
    assert advice.largest_batch > 4
    assert advice.largest_rank > 8
    settings.budget_mib = 150.0
    assert Planner(settings, PlanStore(None)).advice(candidate, settings.variants[0]).largest_batch == 0


def comparison_of(settings, change):
    (candidate,) = settings.candidates
    over = made(candidate.name, "r8", is_planned=True, needs_device_mib=900.0, budget_mib=800.0, changes=plain(change))
    return compare(settings.candidates, ["r8"], [over], {})


def test_a_change_is_told_in_both_languages_and_kept_with_its_record(settings):
    settings.budget_mib = 100.0
    change = found(settings)
    comparison = comparison_of(settings, change)
    (row,) = comparison.rows
    assert row.changes == (change, 800.0)
    sentence = told_changes.told(row)
    assert str(sentence).startswith("tiny would not fit in r8 even with batch 1 x 4 + ")
    assert sentence.text("ko").startswith("tiny: r8 방식은 이렇게 바꾸어도 들어가지 않습니다: 배치 1 x 4 + ")
    (facts,) = told_changes.facts(comparison)
    assert (facts["candidate"], facts["limit_mib"], facts["enough"]) == ("tiny", 800.0, None)
    assert len(facts["added"]) == len(change.added)

    enough = replace(change, enough=change.added[1])
    (row,) = comparison_of(settings, enough).rows
    mib, of = change.added[1].needs_device_mib, change.added
    times = of[1].seconds / of[0].seconds
    assert str(told_changes.told(row)) == (
        f"tiny would fit in r8 with batch 1 x 4: {mib:.0f} of 800 MiB, {times:.1f} times as long, as planned"
    )
