"""Which storages live when: the allocations and frees of a run.

A `TorchDispatchMode` sees every operator below autograd. A storage that an operator returns and that was
not alive before is an allocation; the death of its weak reference is the free. Views, in-place operators
and operators that return an input bring no new storage and do not count.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from .allocator import Category, Trace
from .cuda_kernels import CudaKernels
from .meta_kernels import Kernel, MetaKernels, follow_value, kernel_with_values
from .quantised import DECOMPOSED
from .seconds import Work
from .work import Counter, counter_of

Layout = tuple[torch.Size, tuple[int, ...], torch.dtype]
"""A tensor's shape, strides and dtype."""

_Known = tuple[Kernel | None, bool, bool, Counter | None]
"""An operator's kernel, whether its result brings a storage, whether a card allocates more, and how to count it.

There is no kernel for one that is made of others: only in inference mode such come whole.
"""


class _StorageRef(weakref.ref[torch.UntypedStorage]):
    """A weak reference to a storage that knows its trace, its allocation's id and its key in the live table."""

    __slots__ = ("allocation", "key", "trace")
    allocation: int
    key: int
    trace: Trace


class StorageTracer(TorchDispatchMode):
    """Records the storages of one kind of device into `trace`; everything else passes unseen."""

    def __init__(
        self,
        trace: Trace,
        vocabulary: int,
        device_type: str = "meta",
        meta_kernels: MetaKernels | None = None,
        cuda_kernels: CudaKernels | None = None,
    ) -> None:
        """`vocabulary` tells logits from other activations by their last dimension."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = trace
        self.category = Category.ACTIVATIONS
        self.before: dict[torch._ops.OpOverload, Callable[[], None]] = {}
        """What to call before an operator runs."""
        self.work = Work()
        """What matrix products have computed and moved so far, and what recordings played back have done."""
        self._calls = [0, 0, 0]
        """Operators that the host called, those of them for autograd, and modules."""
        self.marks: list[tuple[int, Work]] = []
        """Positions in the trace's events, and the work until then."""
        self._vocabulary = vocabulary
        self._device_type = device_type
        self._meta_kernels = meta_kernels
        self._cuda_kernels = cuda_kernels
        self._live: dict[int, _StorageRef] = {}
        self._known: dict[int, _Known] = {}  # by `id`: operators live as long as the process, and their hash is slow

    @contextmanager
    def labelled(self, category: Category) -> Iterator[None]:
        """Label the block's allocations that are not told apart otherwise."""
        before, self.category = self.category, category
        try:
            yield
        finally:
            self.category = before

    @contextmanager
    def modules_counted(self) -> Iterator[None]:
        """Count the modules that the block calls."""

        def count(*_: Any) -> None:
            self._calls[2] += 1

        with register_module_forward_pre_hook(count):
            yield

    def mark(self) -> None:
        """Note how far the run has come."""
        self.marks.append((len(self.trace.events), self.done()))

    def done(self) -> Work:
        """What has been done so far, but for the bytes made, which the trace tells."""
        operators, autograd_operators, modules = self._calls
        return self.work + Work(operators=operators, autograd_operators=autograd_operators, modules=modules)

    def relabel(self, tensor: torch.Tensor, category: Category) -> None:
        """Say what a live tensor's block turned out to be for, if it is followed."""
        reference = self._live.get(tensor.untyped_storage()._cdata)
        if reference is not None:
            self.trace.categories[reference.allocation] = category

    def allocation_of(self, tensor: torch.Tensor) -> int:
        """The id of a live tensor's allocation; raises KeyError for a tensor that is not followed."""
        return self._live[tensor.untyped_storage()._cdata].allocation

    def is_whole(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is followed, and all of its storage."""
        storage = tensor.untyped_storage()
        return storage._cdata in self._live and storage.nbytes() == tensor.nbytes

    def hand_over(self, tensor: torch.Tensor) -> None:
        """Stop following a live tensor: the caller appends its free."""
        del self._live[tensor.untyped_storage()._cdata]

    def make(self, layout: Layout, allocation: int) -> torch.Tensor:
        """A tensor on the traced device that stands for an allocation already in the trace."""
        with torch._C._DisableTorchDispatch():
            size, stride, dtype = layout
            tensor = torch.empty_strided(size, stride, dtype=dtype, device=self._device_type)
        self._follow(tensor.untyped_storage(), allocation)
        return tensor

    def go_on_from(self, earlier: StorageTracer, until: Trace) -> None:
        """Begin with what an earlier tracer recorded until then, and follow what it followed and is alive."""
        self.trace.events[:], self.trace.categories[:] = until.events, until.categories
        for reference in earlier._live.values():
            storage = reference()
            if storage is not None:
                self._follow(storage, reference.allocation)

    @contextmanager
    def aside(self) -> Iterator[Trace]:
        """Record what happens in the block into a trace of its own, cuBLAS's workspaces taken before."""
        before = self.trace, self.work, self._calls, self._cuda_kernels
        self.trace, self.work, self._calls = Trace(), Work(), [0, 0, 0]
        self._cuda_kernels = self._cuda_kernels and self._cuda_kernels.with_workspaces()
        try:
            yield self.trace
        finally:
            self.trace, self.work, self._calls, self._cuda_kernels = before

    def adopt(self, tensors: Iterable[torch.Tensor], category: Category) -> None:
        """Count tensors that were made before the tracing began, in the order given."""
        for tensor in tensors:
            self._note(tensor, category)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # torch's own switch: nothing is compiled here, and its guard costs a tenth
        return False

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator and note what it brings."""
        kwargs = kwargs or {}
        if self.before and func in self.before:
            self.before[func]()
        known = self._known.get(id(func)) or self._known.setdefault(id(func), self._learn(func))
        kernel, brings_storage, has_extras, count = known
        if kernel is None:
            with self:
                return func.decompose(*args, **kwargs)
        self._calls[0] += 1
        self._calls[1] += torch.is_grad_enabled() or torch._C._current_graph_task_id() >= 0
        out = kernel(*args, **kwargs)
        if brings_storage:
            for each in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(each, torch.Tensor):
                    self._note(each)
        if has_extras and args[0].device.type == self._device_type:
            assert self._cuda_kernels is not None
            self._cuda_kernels.add_to(self.trace, func, args, self.category)
        if count is not None:
            self.work += count(args, kwargs, out)
        if type(out) is torch.Tensor and out.is_meta and not out.is_floating_point():
            follow_value(func, args, kwargs, out)
        return out

    def _learn(self, func: torch._ops.OpOverload) -> _Known:
        made_of = DECOMPOSED.get(func._schema.name) if self._device_type == "meta" else None
        if made_of is not None:
            return partial(self._run, made_of), False, False, None
        has_kernel = partial(torch._C._dispatch_has_kernel_for_dispatch_key, func.name())
        if has_kernel("CompositeImplicitAutograd") and not has_kernel("CPU"):  # a device's own kernel goes before
            return None, False, False, None
        kernel = func if self._meta_kernels is None else self._meta_kernels[func]
        if self._device_type == "meta":
            kernel = kernel_with_values(func, kernel)
        brings_storage = any(each.alias_info is None for each in func._schema.returns)
        has_extras = self._cuda_kernels is not None and self._cuda_kernels.concerns(func)
        return kernel, brings_storage, has_extras, counter_of(func)

    def _run(self, made_of: Kernel, *args: Any) -> Any:
        with self:
            return made_of(*args)

    def _note(self, tensor: torch.Tensor, category: Category | None = None) -> None:
        if tensor.device.type != self._device_type:
            return
        storage = tensor.untyped_storage()
        size_bytes = storage.nbytes()
        if storage._cdata in self._live or size_bytes == 0:
            return
        if category is None:
            category = self.category
            if category is Category.ACTIVATIONS and tensor.dim() and tensor.shape[-1] == self._vocabulary:
                category = Category.LOGITS_AND_LOSS
        self._follow(storage, self.trace.allocate(size_bytes, category))

    def _follow(self, storage: torch.UntypedStorage, allocation: int) -> None:
        reference = _StorageRef(storage, self._forget)
        reference.key = storage._cdata
        reference.trace = self.trace
        reference.allocation = allocation
        self._live[reference.key] = reference

    def _forget(self, reference: _StorageRef) -> None:
        reference.trace.free(reference.allocation)
        del self._live[reference.key]
