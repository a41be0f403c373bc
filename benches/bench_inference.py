"""Inference: the untuned candidate answers the protocol's prompts, one by one."""

from ohlora_fixtures.workloads.inference import answer


def bench_inference(candidate, loaded_model, prompts, protocol, meter, assess_untuned, enforce_budget):
    """Time a prompt and peak memory; the answers are kept and judged."""
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
    assess_untuned(measurement)
    enforce_budget(measurement.memory.peak_device_mib)
