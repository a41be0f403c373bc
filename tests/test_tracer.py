"""The storage tracer against PyTorch's own profiler on real tensors, and its rules one by one."""

from array import array
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from ohlora_fixtures.planner.allocator import Category, Trace
from ohlora_fixtures.planner.batches import estimated_examples
from ohlora_fixtures.planner.meta_kernels import MetaKernels
from ohlora_fixtures.planner.on_meta import cuda_order, workloads_on_meta
from ohlora_fixtures.planner.tracer import StorageTracer


class Small(nn.Module):
    """Layers whose CPU kernels allocate their results and nothing that outlives the operator."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 24)
        self.up, self.norm, self.down = nn.Linear(24, 96), nn.LayerNorm(96), nn.Linear(96, 50)
        self.register_buffer("scale", torch.ones(96))

    def forward(self, ids):
        return self.down(functional.gelu(self.norm(self.up(self.embedding(ids)))) * self.scale)


def train(model, ids, steps=3):
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    for _ in range(steps):
        functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()


def changes(events):
    """What each event of a trace does to the live bytes."""
    sizes = []
    for event in events:
        if event > 0:
            sizes.append(event)
        yield event if event > 0 else -sizes[-1 - event]


def profiled_changes(work):
    """The same from PyTorch's CPU allocator, as its profiler reports it, without what oneDNN takes on some CPUs."""
    memory = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)
    with torch.backends.mkldnn.flags(enabled=False), memory as profiler:
        work()
    events = [each for each in profiler.profiler.kineto_results.events() if each.name() == "[memory]"]
    return [each.nbytes() for each in sorted(events, key=lambda each: each.start_ns())]


def test_the_profiler_sees_the_same_allocations_and_frees_in_the_same_order():
    ids = torch.arange(40).reshape(2, 20)

    def fresh():
        torch.manual_seed(0)
        return Small()

    train(fresh(), ids)  # whatever is made once a process is made now
    model = fresh()
    profiled = profiled_changes(lambda: train(model, ids))
    model = fresh()
    tracer = StorageTracer(Trace(), vocabulary=50, device_type="cpu")
    with tracer:
        tracer.adopt(cuda_order(model), Category.BASE_WEIGHTS)
        placed = len(tracer.trace.events)
        train(model, ids)
    traced = list(changes(tracer.trace.events))[placed:]
    # Inside an operator, unseen from outside, two things are made and gone again: scalars that stand for Python's
    # numbers (8 bytes at most), and what the CPU's layer norm sums its weights' gradients up in (2 x 96 floats).
    scratch_bytes = 2 * 96 * 4
    assert sum(size for size in profiled if abs(size) in (4, 8, scratch_bytes)) == 0
    lasting = [size for size in profiled if abs(size) > 8 and abs(size) != scratch_bytes]
    assert len(lasting) > 200
    assert [size for size in traced if abs(size) > 8] == lasting


def test_what_brings_no_storage_is_no_allocation():
    tracer = StorageTracer(Trace(), vocabulary=1, device_type="cpu")
    with tracer:
        tensor = torch.ones(4, 6)
        assert len(tracer.trace.events) == 1
        kept = [tensor.t(), tensor[0], tensor.view(24), tensor.detach(), tensor.add_(1), tensor.to(torch.float32)]
        torch.mul(tensor, 2, out=kept[4])
        torch.ops.aten._unsafe_view(tensor, (24,))
        assert list(tracer.trace.events) == [96]
        double = tensor * 2
        assert list(tracer.trace.events) == [96, 96]
        del double
        assert list(tracer.trace.events) == [96, 96, -2]


def test_a_model_is_placed_children_first_then_parameters_then_buffers_tied_weights_once():
    model = Small()
    model.down.weight = nn.Parameter(torch.ones(50, 24))
    model.embedding.weight = model.down.weight
    model.extra = nn.Parameter(torch.ones(7))
    tracer = StorageTracer(Trace(), vocabulary=1, device_type="cpu")
    tracer.adopt(cuda_order(model), Category.BASE_WEIGHTS)
    sizes = [50 * 24, 96 * 24, 96, 96, 96, 50, 7, 96]
    assert list(tracer.trace.events) == [4 * size for size in sizes]


def test_blocks_are_told_apart():
    tracer = StorageTracer(Trace(), vocabulary=50)
    with tracer:
        logits, hidden = torch.empty(2, 50, device="meta"), torch.empty(2, 49, device="meta")
        with tracer.labelled(Category.OPTIMIZER):
            state = torch.empty(3, device="meta")
        tracer.relabel(hidden, Category.GRADIENTS)
    assert bytes(tracer.trace.categories) == bytes([Category.LOGITS_AND_LOSS, Category.GRADIENTS, Category.OPTIMIZER])
    del logits, hidden, state


def test_what_follows_from_the_data_is_known_and_the_rest_is_unremarkable():
    with StorageTracer(Trace(), vocabulary=1):
        full, padded = (torch.tensor(rows).to("meta") for rows in ([[1, 1], [1, 1]], [[1, 1], [1, 0]]))
        assert bool((full == 1).all()) is True
        assert bool((padded == 1).all()) is False
        assert int(padded.sum()) == 3
        assert (torch.arange(5, device="meta") + 2).tolist() == [2, 3, 4, 5, 6]
        drawn = torch.empty(2, device="meta").uniform_()
        assert bool((drawn > 0.5).any()) is False
        assert float(drawn[0]) == 1.0
        padded.copy_((drawn > 0.5).long())
        assert bool((padded == 1).all()) is False  # overwritten by what is not known


def test_remembered_kernels_leave_the_same_trace():
    def traced(kernels):
        with torch.device("meta"):
            model, ids = Small(), torch.zeros(2, 20, dtype=torch.int64)
        tracer = StorageTracer(Trace(), vocabulary=50, meta_kernels=kernels)
        with workloads_on_meta(tracer.trace.empty_cache), tracer:
            tracer.adopt(cuda_order(model), Category.BASE_WEIGHTS)
            train(model, ids)
        return tracer.trace

    kernels = MetaKernels()
    plain, learning, remembering = traced(None), traced(kernels), traced(kernels)
    assert plain.events == learning.events == remembering.events
    assert plain.categories == learning.categories == remembering.categories


def test_estimated_rows_keep_to_the_longest_allowed():
    from ohlora_fixtures.inputs.conversations import Dialogue

    candidate = SimpleNamespace(text_template="{input}:{output}", chars_per_token=1.5)
    (row,) = estimated_examples(candidate, [Dialogue("x" * 30, "y" * 30)], 20)
    assert (len(row["input_ids"]), row["labels"].count(-100)) == (20, 19)
    assert isinstance(array("q", row["input_ids"]), array)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_an_operator_with_a_kernel_of_its_own_is_not_taken_apart():
    """SiLU's backward pass has a formula of other operators, too; a device does not run that."""
    tracer = StorageTracer(Trace(), 0)
    with tracer:
        given = torch.empty(8, 8, device="meta", requires_grad=True)
        result = functional.silu(given)
        result.backward(torch.empty_like(result))
    assert len(tracer.trace.categories) == 4  # the two tensors given, the result, the gradient
