import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ohlora_fixtures.planner.attention import Call, backend_of, fused_attention
from ohlora_fixtures.planner.cuda_kernels import temporaries

T4, A100, RTX3060, L4, H100, RTX5070 = (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0)
AMPERE_AND_LATER = [A100, RTX3060, L4, H100]


def choose_backend(capability, query, key, value, mask=None, **options):
    """The arguments are those of `torch.nn.functional.scaled_dot_product_attention`."""
    dropout, causal, grouped = (options.get(name, False) for name in ("dropout_p", "is_causal", "enable_gqa"))
    return backend_of(Call(query, key, value, mask, float(dropout), causal, grouped), capability)


def heads(count, tokens, head_size, *, batch=4, dtype=torch.bfloat16, grad=False):  # noqa: PLR0913
    """As a projection leaves them: batch x heads x tokens x head size, laid out batch x tokens x heads."""
    projected = torch.empty(batch, tokens, count * head_size, dtype=dtype, device="meta", requires_grad=grad)
    return projected.view(batch, tokens, count, head_size).transpose(1, 2)


def padding_mask(tokens, *, batch=4):
    return torch.empty(batch, 1, tokens, tokens, dtype=torch.bool, device="meta")


class Trace(TorchDispatchMode):
    """The attention operators called, and the most bytes alive at once in what was allocated, temporaries included."""

    def __init__(self, capability=A100):
        super().__init__()
        self.capability, self.attention, self.live, self.peak = capability, [], 0, 0
        self.storages = weakref.WeakValueDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        if "scaled_dot_product" in str(func):
            self.attention.append(func)
        for tensor in tree_leaves(results):
            if isinstance(tensor, torch.Tensor):
                self.follow(tensor.untyped_storage())
        self.peak = max(self.peak, self.live + sum(temporaries(func, args, self.capability)))
        return results

    def follow(self, storage):
        if storage._cdata not in self.storages:
            self.storages[storage._cdata] = storage
            self.live += storage.nbytes()
            weakref.finalize(storage, self.release, storage.nbytes())

    def release(self, size):
        self.live -= size


class Attention(nn.Module):
    """A decoder's attention in small."""

    def __init__(self, head_count, key_heads, head_size):
        super().__init__()
        width = head_count * head_size
        self.sizes = (head_count, key_heads, key_heads)
        self.head_size = head_size
        with torch.device("meta"):
            self.project = nn.Linear(width, (head_count + 2 * key_heads) * head_size, dtype=torch.bfloat16)
            self.output = nn.Linear(width, width, dtype=torch.bfloat16)

    def forward(self, hidden, attend, mask=None):
        batch, tokens, width = hidden.shape
        parts = self.project(hidden).split([count * self.head_size for count in self.sizes], -1)
        query, key, value = (part.view(batch, tokens, -1, self.head_size).transpose(1, 2) for part in parts)
        grouped = self.sizes[0] != self.sizes[1]
        result = attend(query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped)
        assert result.shape == query.shape
        return self.output(result.transpose(1, 2).reshape(batch, tokens, width))


def train(module, capability, *, tokens, batch=4, mask=None):
    attend = fused_attention(capability)
    hidden = torch.empty(batch, tokens, module.output.in_features, dtype=torch.bfloat16, device="meta")
    hidden.requires_grad_()
    with Trace(capability) as trace:
        module(hidden, attend, mask).sum().backward()
    assert hidden.grad.shape == hidden.shape
    assert all(parameter.grad.shape == parameter.shape for parameter in module.parameters())
    return trace


@pytest.mark.parametrize(
    ("capability", "backend"),
    [(T4, "math"), (A100, "flash"), (RTX3060, "flash"), (L4, "flash"), (RTX5070, "flash"), (H100, "cudnn")],
)
def test_bf16_without_a_mask(capability, backend):
    query = heads(16, 80, 128, grad=True)
    assert choose_backend(capability, query, query, query, is_causal=True) == backend


@pytest.mark.parametrize(
    ("capability", "backend"), [(T4, "math"), (A100, "efficient"), (RTX3060, "efficient"), (H100, "cudnn")]
)
def test_flash_takes_no_mask(capability, backend):
    query = heads(16, 80, 128, grad=True)
    assert choose_backend(capability, query, query, query, padding_mask(80)) == backend


@pytest.mark.parametrize(("capability", "backend"), [(A100, "flash"), (RTX3060, "flash"), (H100, "cudnn")])
def test_grouped_heads_without_a_mask(capability, backend):
    query, key = heads(8, 80, 256, grad=True), heads(4, 80, 256, grad=True)
    assert choose_backend(capability, query, key, key, is_causal=True, enable_gqa=True) == backend
    assert choose_backend(capability, query, key, key, is_causal=True) == "math"


@pytest.mark.parametrize(("capability", "backend"), [(A100, "math"), (H100, "cudnn")])
def test_the_efficient_backend_takes_no_grouped_heads(capability, backend):
    query, key = heads(8, 80, 128), heads(4, 80, 128)
    assert choose_backend(capability, query, key, key, padding_mask(80), enable_gqa=True) == backend


@pytest.mark.parametrize(
    ("head_size", "dropout", "grad", "backend"),
    [
        (192, 0.1, True, "flash"),
        (200, 0.0, True, "efficient"),
        (200, 0.0, False, "flash"),
        (224, 0.0, True, "efficient"),
        (232, 0.0, True, "flash"),
        (256, 0.1, True, "efficient"),
        (264, 0.0, False, "efficient"),
    ],
)
def test_large_heads_on_chips_with_little_shared_memory(head_size, dropout, grad, backend):
    query = heads(8, 80, head_size, grad=grad)
    assert choose_backend(RTX3060, query, query, query, dropout_p=dropout, is_causal=True) == backend
    assert choose_backend(A100, query, query, query, is_causal=True) == ("flash" if head_size <= 256 else "efficient")


def test_large_heads_without_grad_mode_are_not_trained():
    query = heads(8, 80, 224, grad=True)
    with torch.no_grad():
        assert choose_backend(RTX3060, query, query, query) == "flash"


@pytest.mark.parametrize(
    ("capability", "dtype", "backend"),
    [
        (A100, torch.float32, "efficient"),
        (H100, torch.float32, "efficient"),
        (T4, torch.float32, "efficient"),
        (T4, torch.float16, "efficient"),
        ((5, 2), torch.bfloat16, "math"),
        (A100, torch.float64, "math"),
    ],
)
def test_other_dtypes(capability, dtype, backend):
    query = heads(16, 80, 64, dtype=dtype)
    assert choose_backend(capability, query, query, query, is_causal=True) == backend


def test_mixed_dtypes_take_the_quadratic_path():
    query, key = heads(16, 80, 64, dtype=torch.float32), heads(16, 80, 64)
    assert choose_backend(A100, query, key, key) == "math"


@pytest.mark.parametrize("capability", AMPERE_AND_LATER)
def test_one_token_at_a_time(capability):
    query, key = heads(16, 1, 128, batch=1), heads(8, 60, 128, batch=1)
    expected = "cudnn" if capability == H100 else "flash"
    assert choose_backend(capability, query, key, key, enable_gqa=True) == expected
    first = heads(8, 1, 128, batch=1)
    assert choose_backend(capability, query, first, first, enable_gqa=True) == "flash"


def test_flash_is_not_causal_over_more_keys_than_queries():
    query, key = heads(16, 3, 128), heads(16, 60, 128)
    assert choose_backend(A100, query, key, key, is_causal=True) == "efficient"


def test_heads_that_are_not_contiguous_take_the_quadratic_path():
    query = heads(16, 64, 64).transpose(-1, -2)
    assert choose_backend(A100, query, query, query) == "math"


@pytest.mark.parametrize("capability", [(5, 2), T4])
def test_below_ampere_nothing_changes(capability, monkeypatch):
    calls = []
    monkeypatch.setattr(functional, "scaled_dot_product_attention", lambda *args, **named: calls.append((args, named)))
    query = heads(16, 80, 64)
    fused_attention(capability)(query, query, query, is_causal=True, scale=0.5)
    assert calls == [((query, query, query, None, 0.0, True), {"scale": 0.5, "enable_gqa": False})]


def test_tensors_with_data_are_handed_on():
    query = torch.randn(2, 4, 8, 16)
    expected = functional.scaled_dot_product_attention(query, query, query)
    torch.testing.assert_close(fused_attention(H100)(query, query, query), expected)


@pytest.mark.parametrize("capability", AMPERE_AND_LATER)
@pytest.mark.parametrize("shape", [(16, 16, 128), (8, 4, 256), (32, 8, 64), (3, 3, 20)])
def test_forward_and_backward(capability, shape):
    trace = train(Attention(*shape), capability, tokens=77)
    backend = "cudnn" if capability == H100 and shape[-1] % 8 == 0 else "flash"
    assert [str(func) for func in trace.attention] == [
        f"aten._scaled_dot_product_{backend}_attention.default",
        f"aten._scaled_dot_product_{backend}_attention_backward.default",
    ]


@pytest.mark.parametrize("capability", AMPERE_AND_LATER)
@pytest.mark.parametrize("tokens", [77, 80])
def test_forward_and_backward_with_a_mask(capability, tokens):
    trace = train(Attention(8, 8, 256), capability, tokens=tokens, mask=padding_mask(tokens))
    backend = "cudnn" if capability == H100 else "efficient"
    assert [str(func) for func in trace.attention] == [
        f"aten._scaled_dot_product_{backend}_attention.default",
        f"aten._scaled_dot_product_{backend}_attention_backward.default",
    ]


def test_the_efficient_bias_has_rows_aligned_to_8_elements():
    attended = []

    class Biases(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func == torch.ops.aten._scaled_dot_product_efficient_attention.default:
                attended.append(args[3])
            return func(*args, **(kwargs or {}))

    query = heads(16, 77, 128)
    with Biases():
        fused_attention(A100)(query, query, query, padding_mask(77))
    (bias,) = attended
    assert (bias.shape, bias.stride()) == ((4, 16, 77, 77), (77 * 80, 0, 80, 1))
    assert bias.dtype == torch.bfloat16


def growth(capability):
    module = Attention(16, 16, 64)
    peaks = [train(module, capability, tokens=tokens, batch=16).peak for tokens in (1024, 2048, 4096)]
    return (peaks[2] - peaks[1]) / (peaks[1] - peaks[0])


@pytest.mark.parametrize("capability", AMPERE_AND_LATER)
def test_a_fused_backend_needs_memory_in_proportion_to_the_tokens(capability):
    assert growth(capability) == pytest.approx(2, rel=0.02)


def test_the_quadratic_path_needs_four_times_the_memory_for_twice_the_tokens():
    assert growth(T4) > 3.9


def test_temporaries_of_flash_attention():
    query, key = heads(8, 100, 256), heads(4, 100, 256)
    backward = torch.ops.aten._scaled_dot_product_flash_attention_backward.default
    softmax_d, dq_accum = 4 * 8 * 128 * 4, 4 * 8 * 128 * 256 * 4
    assert temporaries(backward, (query, query, query, query, query), A100) == [softmax_d, dq_accum]
    expanded = 4 * 100 * 8 * 256 * 2
    assert temporaries(backward, (query, query, key, key, query), A100) == [softmax_d, dq_accum, expanded, expanded]
    strided = query.contiguous()
    copied = temporaries(backward, (strided, query, query, query, strided), A100)
    assert copied == [query.nbytes, query.nbytes, softmax_d, dq_accum]


def test_flash_attention_splits_the_keys_where_heads_would_not_fill_the_card():
    forward = torch.ops.aten._scaled_dot_product_flash_attention.default
    query, key = heads(16, 1, 128, batch=1), heads(8, 80, 128, batch=1)
    assert temporaries(forward, (query, key, key), A100) == []
    longer = heads(8, 300, 128, batch=1)
    assert temporaries(forward, (query, longer, longer), A100) == [3 * 16 * 4, 3 * 16 * 128 * 4]
    assert temporaries(forward, (heads(16, 1024, 128), heads(16, 1024, 128)), A100) == []


def test_temporaries_of_efficient_attention():
    forward = torch.ops.aten._scaled_dot_product_efficient_attention.default
    backward = torch.ops.aten._scaled_dot_product_efficient_attention_backward.default
    query = heads(8, 128, 128)
    assert temporaries(forward, (query, query, query), A100) == []
    delta = 4 * 8 * 128 * 4
    tile = 4 * 8 * (128 * 128 + 4) * 4
    assert temporaries(backward, (query, query, query, query), A100) == [delta, tile]
    small_tiles = 4 * 8 * (2 * 2 * (64 * 64 + 4) + 2 * 128 * 128) * 4
    assert temporaries(backward, (query, query, query, query), RTX3060) == [delta, small_tiles]
    large = heads(8, 128, 256)
    assert temporaries(forward, (large, large, large), A100) == [4 * 8 * 128 * 256 * 4]


def test_temporaries_of_cudnn_attention():
    backward = torch.ops.aten._scaled_dot_product_cudnn_attention_backward.default
    query, key = heads(8, 100, 128), heads(4, 100, 128)
    shared = 2 * 4 * 8 * 100 * 128 * 4
    workspace = 4 * 8 * 100 * (128 + 1) * 4
    assert temporaries(backward, (query, query, query, query, query), H100) == [workspace]
    assert temporaries(backward, (query, query, key, key, query), H100) == [workspace + shared]


def test_other_operators_have_none():
    assert temporaries(torch.ops.aten.mm.default, (), A100) == []
