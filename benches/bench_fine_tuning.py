"""Fine-tuning: a variant's fresh adapter on the candidate, trained on the protocol's rows."""

from ohlora_fixtures.workloads.fine_tuning import fine_tune


def bench_fine_tuning(
    candidate, variant, adapted_model, loaded_model, examples, training, meter, enforce_budget, assess_tuned
):
    """Time of the whole run and of a step, and peak memory; then the tuned model's answers, judged."""
    measurement = meter(
        fine_tune,
        adapted_model,
        loaded_model.tokenizer,
        examples,
        training,
        total=training.steps,
        unit="steps",
        warm_up=training.warm_up_steps,
    )
    enforce_budget(measurement.memory.peak_device_mib)
    assess_tuned(adapted_model, measurement)
