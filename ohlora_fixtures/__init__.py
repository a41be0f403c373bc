"""Which small LLM to LoRA-fine-tune on the GPU at hand: a pytest benchmark suite."""
