"""What the planner does with a tokenizer, and what it cannot plan."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ohlora_fixtures.base.errors import CandidateError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.templates import encode_all, template_of
from ohlora_fixtures.inputs.variants import Variant, lora
from ohlora_fixtures.planner import candidate_planner
from ohlora_fixtures.planner.plan import PlanStore
from ohlora_fixtures.planner.planner import Planner
from ohlora_fixtures.workloads.stand_ins import stand_in_tokenizer


@pytest.fixture
def settings(tiny):
    return SimpleNamespace(
        candidates=read_candidates(tiny()),
        dialogues=read_dialogues(DATA / "dialogues.csv"),
        protocol=Protocol(epochs=1),
        variants=(lora(8),),
        model_dir=None,
        budget_mib=12288.0,
        gpu_profile=read_profiles(DATA / "gpus.toml")[0],
    )


def test_lengths_are_estimated_from_characters_a_token(settings):
    (candidate,) = settings.candidates
    plan = Planner(settings, PlanStore(None)).plan(replace(candidate, chars_per_token=2.0), lora(8))
    rows = settings.dialogues.rows(settings.protocol.fine_tuning_rows)
    template_characters = len(candidate.text_template) - len("{input}{output}")
    longest = max(template_characters + len(row.prompt) + len(row.answer) for row in rows)
    assert (plan.tokenizer, plan.longest_tokens) == ("estimated", round(longest / 2.0) + 1)


@pytest.mark.parametrize(("template_tokens", "added"), [(None, 12), (40, 40)])
def test_a_chat_templates_tokens_are_added_to_estimated_lengths(settings, template_tokens, added):
    (candidate,) = settings.candidates
    chat = replace(candidate, chars_per_token=2.0, text_template=None, template_tokens=template_tokens)
    planner = Planner(settings, PlanStore(None))
    rows = settings.dialogues.rows(settings.protocol.fine_tuning_rows)
    longest = max(len(row.prompt) + len(row.answer) for row in rows)
    assert planner.plan(chat, lora(8)).longest_tokens == round(longest / 2.0) + added + 1
    prompts = settings.dialogues.rows(settings.protocol.prompt_rows)
    assert planner.plan(chat, None).longest_tokens == max(round(len(row.prompt) / 2.0) for row in prompts) + added


def test_a_tokenizer_at_hand_gives_the_real_lengths(settings, tmp_path):
    (candidate,) = settings.candidates
    tokenizer = stand_in_tokenizer(settings.dialogues.texts(candidate.text_template), 1.2)
    tokenizer.save_pretrained(tmp_path / "weights" / "tiny")
    settings.model_dir = tmp_path / "weights"
    planner = Planner(settings, PlanStore(tmp_path / "plans"))
    tuned, answered = planner.plan(candidate, lora(8)), planner.plan(candidate, None)
    rows = settings.dialogues.rows(settings.protocol.fine_tuning_rows)
    template = template_of(candidate.text_template, tokenizer)
    examples = encode_all(template, rows, 512)
    assert (tuned.tokenizer, tuned.longest_tokens) == ("own", max(len(row["input_ids"]) for row in examples))
    prompts = settings.dialogues.rows(settings.protocol.prompt_rows)
    longest = max(map(len, template.prompts(prompts)))
    assert answered.longest_tokens == longest

    assert planner.is_kept(candidate, None)
    path = tmp_path / "weights" / "tiny" / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert not planner.is_kept(candidate, None)  # another file, another plan
    planner.plan(candidate, None)
    assert planner.is_kept(candidate, None)
    (tmp_path / "weights" / "tiny" / "chat_template.jinja").write_text("", encoding="utf-8")
    assert not planner.is_kept(candidate, None)


def test_a_plan_names_the_packages_whose_kernels_it_is_without(settings, tiny):
    (candidate,) = settings.candidates
    assert Planner(settings, PlanStore(None)).plan(candidate, None).without_kernels == ()
    mamba = {"model_type": "mamba", "hidden_size": 64, "state_size": 8, "num_hidden_layers": 2, "vocab_size": 8000}
    path = tiny(mamba, target_modules=["in_proj", "dt_proj"])  # its `dt_proj` is never called, so has no gradient
    (candidate,) = read_candidates(path)
    plan = Planner(settings, PlanStore(None)).plan(candidate, lora(8))
    assert plan.without_kernels == ("causal-conv1d", "mamba-ssm")
    assert plan.peak_allocated_mib > 0


def test_what_a_library_refuses_on_meta_is_told_in_one_sentence(settings):
    settings.protocol = Protocol(optimizer="galore_adamw")
    with pytest.raises(CandidateError, match=r"^tiny cannot be planned: \w+: [^\n]+$"):
        Planner(settings, PlanStore(None)).plan(settings.candidates[0], lora(8))


def test_a_fused_optimizer_has_each_tensors_step_count_on_the_card_too(settings):
    plans = []
    for optimizer in ("adamw_torch", "adamw_torch_fused"):
        settings.protocol = Protocol(optimizer=optimizer, batch_size=1)
        plans.append(Planner(settings, PlanStore(None)).plan(settings.candidates[0], Variant("full")))
    plain, fused = plans
    tensors = 2 + 2 * 12  # embeddings and last norm, and those of two layers
    assert (fused.allocated_after_mib - plain.allocated_after_mib) * 2**20 == tensors * 512  # the smallest block


def test_a_store_that_cannot_be_written_is_no_obstacle(tmp_path):
    taken = tmp_path / "taken"
    taken.touch()
    store = PlanStore(taken / "plans")
    store.write({"a": 1}, {"b": 2})
    assert (store.read({"a": 1}), PlanStore(taken / "plans").read({"a": 1})) == ({"b": 2}, None)


def test_advice_is_given_at_the_first_variant_and_moves_with_the_budget(settings):
    (candidate,) = settings.candidates
    settings.variants = (lora(16), lora(8))
    planner = Planner(settings, PlanStore(None))
    assert planner.advice(candidate, lora(8)) is planner.advice(candidate, None) is None
    roomy = planner.advice(candidate, lora(16))
    settings.budget_mib = 220.0
    tight = Planner(settings, PlanStore(None)).advice(candidate, lora(16))
    assert (roomy.variant, roomy.batch_size) == ("r16", 4)
    assert 4 < tight.largest_batch < roomy.largest_batch
    assert 16 < tight.largest_rank < roomy.largest_rank
    assert tight.largest_rank % 8 == 0
    assert roomy.checkpointing_saves_mib == tight.checkpointing_saves_mib > 0

    for changes, fits in (
        ({"batch_size": tight.largest_batch}, True),
        ({"batch_size": 2 * tight.largest_batch}, False),
    ):
        settings.protocol = replace(Protocol(epochs=1), **changes)
        plan = Planner(settings, PlanStore(None)).plan(candidate, lora(16))
        assert (plan.peak_device_mib <= 220.0) is fits


def test_a_variant_between_two_ranks_of_its_like_lies_on_the_line_through_them(settings):
    """Its plan is what tracing it alone gives; a variant of another kind lies on no such line."""
    (candidate,) = settings.candidates
    dora = Variant("dora", {"peft_type": "LORA", "r": 8, "use_dora": True})
    settings.variants = (lora(4), lora(8), lora(16), dora)
    together = Planner(settings, PlanStore(None))
    for variant in (lora(8), dora):
        settings.variants = (lora(4), lora(8), lora(16), dora)
        found = together.plan(candidate, variant)
        settings.variants = (variant,)
        assert found == Planner(settings, PlanStore(None)).plan(candidate, variant)


@pytest.mark.parametrize("every", [1, 3])
def test_a_run_that_empties_the_cache_is_put_together_as_it_is_traced_whole(settings, monkeypatch, every):
    (candidate,) = settings.candidates
    settings.protocol = Protocol(epochs=4, batch_size=16)
    settings.variants = (replace(lora(8), training={"torch_empty_cache_steps": every}), lora(8))
    emptying, usual = (Planner(settings, PlanStore(None)).plan(candidate, each) for each in settings.variants)
    monkeypatch.setattr(candidate_planner, "_FEW_STEPS", 1000)
    whole = Planner(settings, PlanStore(None)).plan(candidate, settings.variants[0])
    for figure in ("peak_allocated_mib", "peak_reserved_mib", "needs_mib"):
        assert getattr(emptying, figure) == pytest.approx(getattr(whole, figure), abs=2)  # a segment of the small pool
    assert emptying.peak_reserved_mib < usual.peak_reserved_mib
    assert emptying.peak_allocated_mib == pytest.approx(usual.peak_allocated_mib, rel=0.01)


def test_a_plan_is_kept_by_what_the_variant_sets_and_not_by_its_name_alone(settings, tmp_path):
    (candidate,) = settings.candidates
    planner = Planner(settings, PlanStore(tmp_path))
    planner.plan(candidate, lora(8))
    assert not planner.is_kept(candidate, Variant("r8", {"peft_type": "LORA", "r": 8, "use_rslora": True}))
    assert not planner.is_kept(candidate, replace(lora(8), training={"gradient_checkpointing": True}))


def test_no_rank_is_advised_for_a_variant_without_one(settings):
    (candidate,) = settings.candidates
    settings.variants = (Variant("ia3", {"peft_type": "IA3", "feedforward_modules": []}),)
    advice = Planner(settings, PlanStore(None)).advice(candidate, settings.variants[0])
    assert (advice.variant, advice.largest_rank) == ("ia3", None)
    assert advice.largest_batch > 4
