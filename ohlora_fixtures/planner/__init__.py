"""What a case would need on a card: its workload on meta tensors, through a model of PyTorch's CUDA allocator."""
