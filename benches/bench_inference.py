"""Inference: the untuned candidate answers the protocol's prompts, one by one."""

from ohlora_fixtures.workloads.inference import answer


def bench_inference(candidate, loaded_model, prompts, protocol, meter, keep_answers, enforce_budget):
    """Time a prompt and peak memory; the answers are kept to be read."""
    measurement = meter(
        answer,
        loaded_model.model,
        loaded_model.tokenizer,
        prompts,
        protocol,
        total=len(prompts),
        unit="prompts",
        warm_up=protocol.warm_up_prompts,
    )
    keep_answers(measurement.result)
    enforce_budget(measurement.memory.peak_device_mib)
