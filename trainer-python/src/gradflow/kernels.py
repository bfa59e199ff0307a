"""Statistics of any number of slices on a GPU by Triton: one launch to read them, one to add up.

A gradient is read once, whatever is measured. Squares and sums are added up in float64 and in a fixed order, so that
the same gradient always has the same statistics; non-finite elements are counted and left out, as on the CPU.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

import numpy as np
import torch
import triton  # type: ignore[import-not-found, import-untyped, unused-ignore]
import triton.language as tl  # type: ignore[import-not-found, import-untyped, unused-ignore]

from gradflow.measuring import (
    HISTOGRAM,
    LEAST_OCTAVE,
    MAX_ABS,
    MIN_NONZERO,
    MOMENTS,
    NANS,
    NEG_INFS,
    NORM_ONLY,
    OCTAVES,
    POS_INFS,
    ROWS,
    SQUARES,
    SUBNORMALS,
    SUM,
    SUM_ABS,
    ZEROS,
    Histogram,
    HostMeter,
    Measured,
    flattened,
)

_CHUNK, _BLOCK = 1 << 15, 1 << 10
_PARTS = 32
# Rows of counts that fit a histogram of Triton's; the last one is for what is in no octave.
_BINS = 512
# A histogram takes 2 kB a slice on the device.
_MOST_HISTOGRAMS = 20_000

_TYPES = {
    torch.float32: tl.float32,
    torch.float64: tl.float64,
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
}


@triton.jit  # type: ignore[untyped-decorator, misc, unused-ignore]
def _measure(  # type: ignore[no-untyped-def]
    addresses, sizes, chunk_slices, chunk_firsts, out,
    TYPE: tl.constexpr, WIDE: tl.constexpr, TINY: tl.constexpr, MOMENTS: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """A chunk of one slice → its 10 statistics."""
    chunk = tl.program_id(0)
    which = tl.load(chunk_slices + chunk)
    first = tl.load(chunk_firsts + chunk)
    size = tl.load(sizes + which)
    values = tl.load(addresses + which).to(tl.pointer_type(TYPE))
    lanes = tl.arange(0, BLOCK)
    infinity = float("inf")
    squares = tl.zeros([BLOCK], tl.float64)
    largest = tl.zeros([BLOCK], WIDE)
    bad = tl.zeros([BLOCK], tl.int32)
    if MOMENTS:
        zeros = tl.zeros([BLOCK], tl.int32)
        sum_abs = tl.zeros([BLOCK], tl.float64)
        total = tl.zeros([BLOCK], tl.float64)
        least = tl.full([BLOCK], infinity, WIDE)
        subnormal = tl.zeros([BLOCK], tl.int32)
    last = tl.minimum(size, first + CHUNK)
    for begin in range(first, last, BLOCK):
        at = begin + lanes
        inside = at < last
        x = tl.load(values + at, mask=inside, other=0).to(WIDE)
        magnitude = tl.abs(x)
        finite = magnitude < infinity  # False of NaN.
        bad += (inside & (finite == 0)).to(tl.int32)
        x = tl.where(finite, x, 0)
        magnitude = tl.where(finite, magnitude, 0)
        exact = magnitude.to(tl.float64)
        squares += exact * exact
        largest = tl.maximum(largest, magnitude)
        if MOMENTS:
            is_zero = magnitude == 0
            zeros += (inside & finite & is_zero).to(tl.int32)
            sum_abs += exact
            total += x.to(tl.float64)
            least = tl.minimum(least, tl.where(is_zero, infinity, magnitude))
            subnormal += ((is_zero == 0) & (magnitude < TINY)).to(tl.int32)
    row = out + chunk * 10
    tl.store(row + 0, tl.sum(squares, 0))
    tl.store(row + 1, tl.max(largest, 0).to(tl.float64))
    nans, above, below = 0.0, 0.0, 0.0
    if tl.sum(bad, 0) > 0:
        for begin in range(first, last, BLOCK):
            at = begin + lanes
            x = tl.load(values + at, mask=at < last, other=0).to(WIDE)
            nans += tl.sum((x != x).to(tl.int32), 0).to(tl.float32)
            above += tl.sum((x == infinity).to(tl.int32), 0).to(tl.float32)
            below += tl.sum((x == -infinity).to(tl.int32), 0).to(tl.float32)
    tl.store(row + 2, nans)
    tl.store(row + 3, above)
    tl.store(row + 4, below)
    if MOMENTS:
        tl.store(row + 5, tl.sum(zeros, 0).to(tl.float64))
        tl.store(row + 6, tl.sum(sum_abs, 0))
        tl.store(row + 7, tl.sum(total, 0))
        tl.store(row + 8, tl.min(least, 0).to(tl.float64))
        tl.store(row + 9, tl.sum(subnormal, 0).to(tl.float64))


@triton.jit  # type: ignore[untyped-decorator, misc, unused-ignore]
def _add_up(chunks, offsets, places, out, count, PARTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The chunks of one slice → its 10 statistics, in the column that is its place."""
    which = tl.program_id(0)
    row = tl.program_id(1)
    first = tl.load(offsets + which)
    last = tl.load(offsets + which + 1)
    lanes = tl.arange(0, PARTS)
    infinity = float("inf")
    total = tl.zeros([PARTS], tl.float64)
    largest = tl.zeros([PARTS], tl.float64)
    least = tl.full([PARTS], infinity, tl.float64)
    for begin in range(first, last, PARTS):
        at = begin + lanes
        inside = at < last
        some = tl.load(chunks + at * 10 + row, mask=inside, other=0)
        total += some
        largest = tl.maximum(largest, some)
        least = tl.minimum(least, tl.where(inside, some, infinity))
    result = tl.sum(total, 0)
    if row == 1:
        result = tl.max(largest, 0)
    if row == 8:
        result = tl.min(least, 0)
    tl.store(out + row * count + tl.load(places + which), result)


@triton.jit  # type: ignore[untyped-decorator, misc, unused-ignore]
def _count_octaves(  # type: ignore[no-untyped-def]
    addresses, sizes, chunk_slices, chunk_firsts, places, out,
    TYPE: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, BINS: tl.constexpr
):  # fmt: skip
    """A chunk of one slice → added to its counts of the octaves from 2^-149 on."""
    chunk = tl.program_id(0)
    which = tl.load(chunk_slices + chunk)
    first = tl.load(chunk_firsts + chunk)
    last = tl.minimum(tl.load(sizes + which), first + CHUNK)
    values = tl.load(addresses + which).to(tl.pointer_type(TYPE))
    lanes = tl.arange(0, BLOCK)
    counts = tl.zeros([BINS], tl.int32)
    for begin in range(first, last, BLOCK):
        at = begin + lanes
        inside = at < last
        bits = tl.load(values + at, mask=inside, other=0).to(tl.float32).to(tl.int32, bitcast=True) & 0x7FFFFFFF
        exponent = bits >> 23
        # Of a subnormal the fraction is a whole number of 2^-149.
        small = (bits.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
        octave = tl.where(exponent == 0, small, exponent + 22)
        octave = tl.where((bits == 0) | (exponent == 255) | (inside == 0), BINS - 1, octave)
        counts += tl.histogram(octave, BINS)
    bins = tl.arange(0, BINS)
    place = tl.load(places + which).to(tl.int64)
    tl.atomic_add(out + place * BINS + bins, counts, mask=(counts > 0) & (bins < BINS - 1))


class KernelPlan:
    """Slices of one device, grouped by their dtypes."""

    def __init__(self, slices: Sequence[torch.Tensor]) -> None:
        if any(one.layout != torch.strided for one in slices):
            raise ValueError("sparse gradients on a device cannot be measured without waiting for it")
        self._count = len(slices)
        self._device = slices[0].device
        dtypes: Dict[torch.dtype, List[int]] = {}
        for i, one in enumerate(slices):
            if one.numel() > 0:
                dtypes.setdefault(one.dtype, []).append(i)
        self._groups = [_Group(dtype, at, [slices[i] for i in at]) for dtype, at in dtypes.items()]

    def start(
        self, slices: Sequence[torch.Tensor], groups: FrozenSet[str]
    ) -> Tuple[torch.Tensor, Callable[[np.ndarray], Measured]]:
        moments = MOMENTS in groups
        single = all(group.dtype != torch.float64 for group in self._groups)
        histogram = HISTOGRAM in groups and single and self._count <= _MOST_HISTOGRAMS
        values = torch.zeros((ROWS, self._count), dtype=torch.float64, device=self._device)
        counts = torch.zeros((self._count, _BINS), dtype=torch.int32, device=self._device) if histogram else None
        for group in self._groups:
            group.launch(slices, values, moments, counts)
        if counts is None:
            return values, lambda arrived: _finished(arrived.reshape(ROWS, -1), None, groups)
        both = torch.cat([values.reshape(-1), counts[:, :OCTAVES].reshape(-1).to(torch.float64)])
        size = ROWS * self._count
        return both, lambda arrived: _finished(arrived[:size].reshape(ROWS, -1), arrived[size:], groups)


def _finished(rows: np.ndarray, counts: Optional[np.ndarray], groups: FrozenSet[str]) -> Measured:
    has = {SQUARES, NANS, POS_INFS, NEG_INFS}
    has |= set() if NORM_ONLY in groups else {MAX_ABS}
    has |= {ZEROS, SUM_ABS, SUM, MIN_NONZERO, SUBNORMALS} if MOMENTS in groups else set()
    histogram = None
    if counts is not None:
        table = counts.reshape(-1, OCTAVES)
        row, octave = np.nonzero(table)
        offsets = np.searchsorted(row, np.arange(len(table) + 1)).astype(np.int32)
        histogram = Histogram(offsets, (octave + LEAST_OCTAVE).astype(np.int32), table[row, octave].astype(np.int64))
    return Measured(rows, frozenset(has), histogram)


class _Group:
    """Slices of one dtype, cut into chunks."""

    def __init__(self, dtype: torch.dtype, at: List[int], slices: Sequence[torch.Tensor]) -> None:
        self.dtype = dtype
        self._at = at
        self._device = slices[0].device
        sizes = np.array([one.numel() for one in slices], np.int64)
        chunks = -(-sizes // _CHUNK)
        offsets = np.concatenate([[0], np.cumsum(chunks)])
        owners = np.repeat(np.arange(len(at)), chunks)
        self._chunks = int(offsets[-1])
        self._sizes = self._sent(sizes)
        self._owners = self._sent(owners.astype(np.int32))
        self._firsts = self._sent((np.arange(self._chunks) - offsets[owners]) * _CHUNK)
        self._offsets = self._sent(offsets.astype(np.int64))
        self._places = self._sent(np.array(at, np.int32))
        self._pointers: List[int] = []
        self._addresses = self._sizes

    def launch(
        self, slices: Sequence[torch.Tensor], values: torch.Tensor, moments: bool, counts: Optional[torch.Tensor]
    ) -> None:
        here = [slices[i] for i in self._at]
        # Held until the kernels have been queued: a slice with gaps is measured as a copy.
        flat = here
        pointers = [one.data_ptr() for one in here]
        if pointers != self._pointers:
            flat = [flattened(one.detach()) for one in here]
            pointers = [one.data_ptr() for one in flat]
            self._addresses = self._sent(np.array(pointers, np.int64))
            # Copies are somewhere else each time.
            self._pointers = pointers if all(a.data_ptr() == b.data_ptr() for a, b in zip(here, flat)) else []
        parts = torch.empty((self._chunks, 10), dtype=torch.float64, device=self._device)
        if not moments:
            parts.zero_()
        wide = tl.float64 if self.dtype == torch.float64 else tl.float32
        with _on(self._device):
            _measure[(self._chunks,)](
                self._addresses, self._sizes, self._owners, self._firsts, parts,
                TYPE=_TYPES[self.dtype], WIDE=wide, TINY=torch.finfo(self.dtype).tiny, MOMENTS=moments,
                CHUNK=_CHUNK, BLOCK=_BLOCK,
            )  # fmt: skip
            _add_up[(len(self._at), 10 if moments else 5)](
                parts, self._offsets, self._places, values, values.shape[1], PARTS=_PARTS
            )
            if counts is not None:
                _count_octaves[(self._chunks,)](
                    self._addresses, self._sizes, self._owners, self._firsts, self._places, counts,
                    TYPE=_TYPES[self.dtype], CHUNK=_CHUNK, BLOCK=_BLOCK, BINS=_BINS,
                )  # fmt: skip

    def _sent(self, table: np.ndarray) -> torch.Tensor:
        here = torch.from_numpy(table)
        if self._device.type == "cuda":
            here = here.pin_memory()
        return here.to(self._device, non_blocking=True)


def _on(device: torch.device) -> Any:
    """Triton launches on the current device, which need not be that of the tensors."""
    import contextlib

    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def tried(device: torch.device) -> Optional[Callable[[Sequence[torch.Tensor]], KernelPlan]]:
    """What makes plans, if the kernels measure a few slices on this device as numpy does; else None. Waits for it."""
    generator = torch.Generator().manual_seed(1)
    slices = [torch.randn(size, generator=generator) for size in (1, 1000, 3 * _CHUNK + 5)]
    slices[1][:4] = torch.tensor([0.0, float("nan"), float("inf"), -float("inf")])
    slices += [slices[2][:70].bfloat16(), slices[2][:70].half(), torch.tensor([1e-40, 1e38, 1e30])]
    groups = frozenset([MOMENTS, HISTOGRAM])
    there = [one.to(device) for one in slices]
    values, finish = KernelPlan(there).start(there, groups)
    found = finish(values.cpu().numpy().reshape(-1))
    wanted = HostMeter().plan(slices).start(slices, groups)[1](np.zeros(0))
    same = all(
        # Sums may be of another order than numpy's, and of the size of what they are made of.
        np.allclose(found.rows[row], wanted.rows[row], rtol=1e-6, atol=1e-6 * wanted.rows[SUM_ABS] if row == SUM else 0)
        for row in range(ROWS)
    )
    for a, b in zip(vars(found.histogram).values(), vars(wanted.histogram).values()):
        same = same and np.array_equal(a, b)
    return KernelPlan if same else None
