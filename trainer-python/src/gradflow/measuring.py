"""Statistics of a list of slices, measured where they are.

On the CPU with numpy, in pieces that stay in the processor's cache; on a GPU with one Triton kernel for all slices
(`gradflow.kernels`), or, where Triton is not to be had, with ``torch._foreach_norm``. In whatever way, the training
thread does not wait for a device: what is measured there travels into pinned memory on a stream of its own, and who
asks for the result waits for it.

Why not ``torch.linalg.vector_norm`` on the CPU: it adds up in float32 and is off by 8e-5 at 4 million elements and by
5e-3 at 64 million.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Deque, Dict, FrozenSet, Hashable, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch

from gradflow.complaints import LOG

#: Rows of what is measured: one number a slice, of its finite elements only.
SQUARES, MAX_ABS, NANS, POS_INFS, NEG_INFS, ZEROS, SUM_ABS, SUM, MIN_NONZERO, SUBNORMALS = range(10)
ROWS = 10

#: Exponents floor(log2 |g|) that a float32 can have, subnormals included.
LEAST_OCTAVE, OCTAVES = -149, 277

MOMENTS, HISTOGRAM, NORM_ONLY = "moments", "histogram", "norm-only"

_FLOAT_MAX = float(np.finfo(np.float32).max)

# A chunk and its two scratch arrays are 1.5 MB together: they stay in the second level cache of a server's core.
_CHUNK = 1 << 17
# Slices up to this size are copied together, so that a step costs a few calls and not a few for each slice.
_SMALL = 1 << 14


@dataclass
class Histogram:
    """Elements an octave: row i runs from ``offsets[i]`` to ``offsets[i + 1]`` of the two others."""

    offsets: np.ndarray
    bins: np.ndarray
    counts: np.ndarray


@dataclass
class Measured:
    """What is known of n slices. ``rows`` is float64, ROWS x n; which rows mean anything ``has`` says."""

    rows: np.ndarray
    has: FrozenSet[int]
    histogram: Optional[Histogram]

    def norm(self) -> np.ndarray:
        """L2 norms as float32; one that a float32 cannot hold is its largest value."""
        return saturated(np.sqrt(self.rows[SQUARES]))

    def max_abs(self) -> np.ndarray:
        return saturated(self.rows[MAX_ABS])

    def nonfinite(self) -> Optional[np.ndarray]:
        """Positions of slices with elements that are not finite, ascending; None: all is finite."""
        bad: np.ndarray = np.nonzero(self.rows[NANS] + self.rows[POS_INFS] + self.rows[NEG_INFS])[0]
        return bad if len(bad) > 0 else None

    def column(self, row: int) -> Optional[np.ndarray]:
        """A row as it travels: counts int64, sums float32, NaN where a float32 cannot hold one; None: not measured."""
        if row not in self.has:
            return None
        values: np.ndarray = self.rows[row]
        if row in (NANS, POS_INFS, NEG_INFS, ZEROS, SUBNORMALS):
            counts: np.ndarray = values.astype(np.int64)
            return counts
        if row == SUM:
            return held(values)
        if row == MIN_NONZERO:
            values = np.where(np.isinf(values), 0, values)
        return saturated(values)


def saturated(values: np.ndarray) -> np.ndarray:
    """As float32, what is too large as the largest of them."""
    narrow: np.ndarray = np.minimum(values, _FLOAT_MAX).astype(np.float32)
    return narrow


def held(values: np.ndarray) -> np.ndarray:
    """As float32; NaN, which is unknown, where that is too large, or too small to hold it precisely."""
    with np.errstate(all="ignore"):
        narrow: np.ndarray = values.astype(np.float32)
        lost = np.isinf(narrow) | ((np.abs(narrow) < np.finfo(np.float32).tiny) & (narrow != values))
    narrow[lost] = np.nan
    return narrow


class Started:
    """A measurement under way, of n slices."""

    def __init__(self, count: int, parts: List["_Part"]) -> None:
        self.count = count
        self.parts = parts


@dataclass
class _Part:
    """The slices ``at`` of a measurement: ``values`` on a device, or None where they are measured already."""

    at: Optional[np.ndarray]
    values: Optional[torch.Tensor]
    finish: Callable[[np.ndarray], Measured]


_NOTHING = np.zeros(0)


class Meter:
    """Measures slices again and again: what their sizes imply is worked out once for each ``key``.

    Slices of one key must keep their shapes and dtypes. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._plans: Dict[Hashable, List[Tuple[Any, Optional[np.ndarray]]]] = {}
        self._host = HostMeter()
        self._rings: Dict[torch.device, Ring] = {}
        self._kernels: Dict[torch.device, Any] = {}

    def start(self, key: Hashable, slices: Sequence[torch.Tensor], groups: FrozenSet[str] = frozenset()) -> Started:
        """Measures, on a device its current stream.

        groups: MOMENTS and HISTOGRAM are measured beside norms and maxima; NORM_ONLY: norms alone.
        """
        with torch.no_grad():
            plan = self._plans.get(key)
            if plan is None:
                if len(self._plans) >= 1024:
                    self._plans.clear()
                plan = self._plans[key] = self._plan(slices)
            parts = []
            for one, at in plan:
                values, finish = one.start(slices if at is None else [slices[i] for i in at], groups)
                parts.append(_Part(at, values, finish))
        return Started(len(slices), parts)

    def read(
        self, started: Sequence[Started], scalars: Sequence[torch.Tensor] = ()
    ) -> Callable[[], Tuple[List[Measured], List[float]]]:
        """Has results brought over, with ``scalars`` of one element each; they travel together, in one copy a device.

        Only what is returned waits for them, on whichever thread; it is to be called once.
        """
        on_devices: Dict[torch.device, List[torch.Tensor]] = {}
        places: List[Tuple[torch.device, int, int]] = []

        def send(values: torch.Tensor) -> None:
            sent = on_devices.setdefault(values.device, [])
            begin = sum(one.numel() for one in sent)
            sent.append(values.reshape(-1))
            places.append((values.device, begin, begin + values.numel()))

        here: List[Optional[float]] = []
        with torch.no_grad():
            for one in started:
                for part in one.parts:
                    if part.values is not None:
                        send(part.values)
            for scalar in scalars:
                here.append(float(scalar) if scalar.device.type == "cpu" else None)
                if here[-1] is None:
                    send(scalar.detach().reshape(1).to(torch.float64))
            reads = {device: self._ring(device).read(torch.cat(sent)) for device, sent in on_devices.items()}

        def read() -> Tuple[List[Measured], List[float]]:
            arrived = {device: fetch() for device, fetch in reads.items()}
            values = iter([arrived[device][begin:end] for device, begin, end in places])
            measured = [
                _joined(
                    one.count, [(p.at, p.finish(_NOTHING if p.values is None else next(values))) for p in one.parts]
                )
                for one in started
            ]
            return measured, [float(next(values)[0]) if one is None else one for one in here]

        return read

    def forget(self) -> None:
        """Works all out anew: to be called when measuring has failed, since shapes may have changed."""
        self._plans.clear()

    def _ring(self, device: torch.device) -> "Ring":
        if device not in self._rings:
            self._rings[device] = Ring(device)
        return self._rings[device]

    def _plan(self, slices: Sequence[torch.Tensor]) -> List[Tuple[Any, Optional[np.ndarray]]]:
        devices: Dict[torch.device, List[int]] = {}
        for i, each in enumerate(slices):
            devices.setdefault(each.device, []).append(i)
        if not devices:
            devices[torch.device("cpu")] = []
        plan: List[Tuple[Any, Optional[np.ndarray]]] = []
        for device, at in devices.items():
            of_device = [slices[i] for i in at]
            if device.type == "cpu":
                one: Any = self._host.plan(of_device)
            else:
                if device not in self._kernels:
                    self._kernels[device] = _kernels(device)
                kernels = self._kernels[device]
                one = (kernels or ForeachPlan)(of_device)
            plan.append((one, None if len(devices) == 1 else np.array(at)))
        return plan


def _kernels(device: torch.device) -> Any:
    """What makes plans for the Triton kernels, if these work here."""
    try:
        from gradflow import kernels

        made = kernels.tried(device)
    except Exception as e:  # Triton is missing or does not know this device: there is another way.
        made, why = None, f"{type(e).__name__}: {e}"
    else:
        why = "they do not measure what they should"
    if made is None:
        LOG.warning(
            "gradflow: on %s only norms, maxima and absolute sums are measured: no Triton kernels: %s", device, why
        )
    return made


def _joined(count: int, parts: Sequence[Tuple[Optional[np.ndarray], Measured]]) -> Measured:
    if len(parts) == 1:
        return parts[0][1]
    rows = np.zeros((ROWS, count))
    has: Optional[FrozenSet[int]] = None
    cells: List[Tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    histogram = True
    for at, part in parts:
        assert at is not None
        rows[:, at] = part.rows
        has = part.has if has is None else has & part.has
        if part.histogram is None:
            histogram = False
        else:
            lengths = np.diff(part.histogram.offsets)
            cells.append((np.repeat(at, lengths), part.histogram.bins, part.histogram.counts))
    return Measured(rows, has or frozenset(), _histogram(count, cells) if histogram else None)


def _histogram(count: int, cells: Sequence[Tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Histogram:
    """Of (slice, octave, elements) in any order, with repetitions."""
    if not cells:
        return Histogram(np.zeros(count + 1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))
    places = np.concatenate([at.astype(np.int64) * 1024 + (bins - LEAST_OCTAVE) for at, bins, _ in cells])
    unique, inverse = np.unique(places, return_inverse=True)
    counts = np.zeros(unique.size, np.int64)
    np.add.at(counts, inverse, np.concatenate([elements for _, _, elements in cells]))
    offsets = np.searchsorted(unique, np.arange(count + 1, dtype=np.int64) * 1024)
    return Histogram(offsets.astype(np.int32), (unique % 1024 + LEAST_OCTAVE).astype(np.int32), counts)


class _Scratch:
    """Room for a chunk of one dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.copied = torch.empty(_CHUNK, dtype=dtype)
        self.values = self.copied.numpy()
        self.magnitudes = np.empty_like(self.values)
        self.squares = np.empty_like(self.values)
        self.mask = np.empty(_CHUNK, np.bool_)
        single = dtype == torch.float32
        # Between these, squares of a chunk neither overflow nor lose anything by underflow.
        self.low, self.high = (1e-12, 1e16) if single else (1e-140, 1e150)


class _Chunk:
    """Small slices that are measured in one go."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.at: List[int] = []
        self.size = 0
        self.views: List[torch.Tensor] = []
        self._starts: List[int] = []
        self.starts = np.zeros(0, np.intp)
        self.columns: Union[slice, np.ndarray] = slice(0)

    def add(self, i: int, one: torch.Tensor, room: torch.Tensor) -> None:
        self.at.append(i)
        self._starts.append(self.size)
        self.views.append(room[self.size : self.size + one.numel()].view(one.shape))
        self.size += one.numel()

    def seal(self) -> None:
        self.starts = np.array(self._starts, np.intp)
        self.columns = _columns(self.at)


def _columns(at: Sequence[int]) -> Union[slice, np.ndarray]:
    return slice(at[0], at[-1] + 1) if at[-1] - at[0] == len(at) - 1 else np.array(at)


class HostMeter:
    """Measures in the processor's memory, in the calling thread."""

    def __init__(self) -> None:
        self._scratch: Dict[torch.dtype, _Scratch] = {}

    def scratch(self, dtype: torch.dtype) -> _Scratch:
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        if wide not in self._scratch:
            self._scratch[wide] = _Scratch(wide)
        return self._scratch[wide]

    def plan(self, slices: Sequence[torch.Tensor]) -> _HostPlan:
        small: List[_Chunk] = []
        large: List[int] = []
        filling: Dict[torch.dtype, _Chunk] = {}
        for i, one in enumerate(slices):
            size = one.numel()
            if size > _SMALL or one.layout != torch.strided:
                large.append(i)
                continue
            if size == 0:
                continue
            chunk = filling.get(one.dtype)
            if chunk is None or chunk.size + size > _CHUNK:
                chunk = filling[one.dtype] = _Chunk(one.dtype)
                small.append(chunk)
            chunk.add(i, one, self.scratch(one.dtype).copied)
        for chunk in small:
            chunk.seal()
        return _HostPlan(self, len(slices), small, large)


class _HostPlan:
    def __init__(self, meter: HostMeter, count: int, small: List[_Chunk], large: List[int]) -> None:
        self._meter = meter
        self._count = count
        self._small = small
        self._large = large

    def start(
        self, slices: Sequence[torch.Tensor], groups: FrozenSet[str]
    ) -> Tuple[None, Callable[[np.ndarray], Measured]]:
        rows = np.zeros((ROWS, self._count))
        rows[MIN_NONZERO] = np.inf
        pass_ = _HostPass(rows, groups)
        with np.errstate(all="ignore"):
            for chunk in self._small:
                scratch = self._meter.scratch(chunk.dtype)
                _copy(chunk.views, [slices[i] for i in chunk.at])
                pass_.add(scratch, scratch.values[: chunk.size], chunk.starts, chunk.columns, chunk.dtype)
            for i in self._large:
                self._add_large(pass_, slices[i], i)
        has = {SQUARES, NANS, POS_INFS, NEG_INFS}
        has |= set() if NORM_ONLY in groups else {MAX_ABS}
        has |= {ZEROS, SUM_ABS, SUM, MIN_NONZERO, SUBNORMALS} if MOMENTS in groups else set()
        histogram = _histogram(self._count, pass_.cells) if HISTOGRAM in groups else None
        result = Measured(rows, frozenset(has), histogram)
        return None, lambda _: result

    def _add_large(self, pass_: _HostPass, one: torch.Tensor, i: int) -> None:
        if one.layout != torch.strided:
            elements = one.numel()
            one = one.coalesce().values()
            pass_.rows[ZEROS, i] += elements - one.numel()
        flat = flattened(one.detach())
        scratch = self._meter.scratch(one.dtype)
        start = np.zeros(1, np.intp)
        for begin in range(0, flat.numel(), _CHUNK):
            piece = flat[begin : begin + _CHUNK]
            if piece.dtype in (torch.float32, torch.float64):
                values = piece.numpy()
            else:
                scratch.copied[: piece.numel()].copy_(piece)
                values = scratch.values[: piece.numel()]
            pass_.add(scratch, values, start, slice(i, i + 1), one.dtype)


class _HostPass:
    """Adds chunk after chunk to the rows."""

    def __init__(self, rows: np.ndarray, groups: FrozenSet[str]) -> None:
        self.rows = rows
        self.cells: List[Tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._moments = MOMENTS in groups
        self._histogram = HISTOGRAM in groups

    def add(
        self,
        scratch: _Scratch,
        values: np.ndarray,
        starts: np.ndarray,
        columns: Union[slice, np.ndarray],
        dtype: torch.dtype,
    ) -> None:
        """values: the elements of the slices that ``columns`` names, each from its start on; none is empty."""
        rows, size = self.rows, values.size
        magnitudes = np.abs(values, out=scratch.magnitudes[:size])
        largest = np.maximum.reduceat(magnitudes, starts)
        # Not finite, or so large or small that squares would be lost in this dtype.
        if not largest.max() < scratch.high or _any_between(largest, 0, scratch.low):
            values, magnitudes, largest = self._finite_wide(values, starts, columns)
            squares = magnitudes * magnitudes
        else:
            squares = np.multiply(magnitudes, magnitudes, out=scratch.squares[:size])
        rows[SQUARES, columns] += np.add.reduceat(squares, starts)
        rows[MAX_ABS, columns] = np.maximum(rows[MAX_ABS, columns], largest)
        if self._histogram:
            self._count_octaves(magnitudes, starts, columns)
        if self._moments:
            self._add_moments(scratch, values, magnitudes, starts, columns, dtype)

    def _finite_wide(
        self, values: np.ndarray, starts: np.ndarray, columns: Union[slice, np.ndarray]
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """In float64, NaN in place of what is not finite is left out: it reads 0 and is counted, and 0 adds nothing."""
        rows = self.rows
        wide = values.astype(np.float64)
        finite = np.isfinite(wide)
        if not finite.all():
            rows[NANS, columns] += _counts(np.isnan(wide), starts)
            rows[POS_INFS, columns] += _counts(wide == np.inf, starts)
            rows[NEG_INFS, columns] += _counts(wide == -np.inf, starts)
            if self._moments:
                # They will be taken for zeros below.
                rows[ZEROS, columns] -= _counts(~finite, starts)
            wide[~finite] = 0
        magnitudes = np.abs(wide)
        return wide, magnitudes, np.maximum.reduceat(magnitudes, starts)

    def _add_moments(
        self,
        scratch: _Scratch,
        values: np.ndarray,
        magnitudes: np.ndarray,
        starts: np.ndarray,
        columns: Union[slice, np.ndarray],
        dtype: torch.dtype,
    ) -> None:
        rows = self.rows
        rows[SUM_ABS, columns] += np.add.reduceat(magnitudes, starts)
        rows[SUM, columns] += np.add.reduceat(values, starts)
        least = np.minimum.reduceat(magnitudes, starts)
        if not least.min() > 0:
            zero = np.equal(magnitudes, 0, out=scratch.mask[: magnitudes.size])
            rows[ZEROS, columns] += _counts(zero, starts)
            np.copyto(magnitudes, np.inf, where=zero)
            least = np.minimum.reduceat(magnitudes, starts)
        rows[MIN_NONZERO, columns] = np.minimum(rows[MIN_NONZERO, columns], least)
        tiny = torch.finfo(dtype).tiny
        if least.min() < tiny:
            rows[SUBNORMALS, columns] += _counts(magnitudes < tiny, starts)

    def _count_octaves(self, magnitudes: np.ndarray, starts: np.ndarray, columns: Union[slice, np.ndarray]) -> None:
        lengths = np.diff(np.append(starts, magnitudes.size))
        octaves = np.frexp(magnitudes)[1].astype(np.int64) - 1
        # Of float64 there may be more than a float32 can have.
        np.clip(octaves, LEAST_OCTAVE, LEAST_OCTAVE + OCTAVES - 1, out=octaves)
        octaves -= LEAST_OCTAVE
        octaves[magnitudes == 0] = OCTAVES
        octaves += np.repeat(np.arange(starts.size) * (OCTAVES + 1), lengths)
        counts = np.bincount(octaves, minlength=starts.size * (OCTAVES + 1)).reshape(starts.size, OCTAVES + 1)
        row, octave = np.nonzero(counts[:, :OCTAVES])
        at = np.arange(columns.start, columns.stop) if isinstance(columns, slice) else columns
        self.cells.append((at[row], octave + LEAST_OCTAVE, counts[row, octave]))


def _counts(mask: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(mask.view(np.uint8), starts, dtype=np.int32)


def _any_between(values: np.ndarray, above: float, below: float) -> bool:
    return bool(values.min() < below) and bool(((values > above) & (values < below)).any())


def flattened(one: torch.Tensor) -> torch.Tensor:
    """All elements without gaps, in whatever order they lie in memory; a view if they have none."""
    if one.is_contiguous():
        return one.view(-1)
    expected = 1
    for stride, size in sorted(zip(one.stride(), one.shape)):
        if size == 1:
            continue
        if stride != expected:
            return one.reshape(-1).contiguous()
        expected *= size
    return one.as_strided((one.numel(),), (1,))


def _copy(into: Sequence[torch.Tensor], out_of: Sequence[torch.Tensor]) -> None:
    copy = getattr(torch, "_foreach_copy_", None)
    if copy is not None:
        copy(into, out_of)
    else:
        for target, source in zip(into, out_of):
            target.copy_(source)


class ForeachPlan:
    """Norms, maxima and absolute sums by ``torch._foreach_norm``.

    Of a slice with elements that are not finite only that is known, not how many nor what the others are: it has a
    norm of 0 and one NaN or infinity. Squares are added up in float32: above 1e19 a norm reads as the largest float.
    """

    def __init__(self, slices: Sequence[torch.Tensor]) -> None:
        if any(one.layout != torch.strided for one in slices):
            raise ValueError("sparse gradients on a device cannot be measured without waiting for it")
        self._count = len(slices)
        self._device = slices[0].device
        self._dtypes: Dict[torch.dtype, List[int]] = {}
        for i, one in enumerate(slices):
            if one.numel() > 0:
                self._dtypes.setdefault(one.dtype, []).append(i)
        self._places = {dtype: torch.tensor(at, device=self._device) for dtype, at in self._dtypes.items()}

    def start(
        self, slices: Sequence[torch.Tensor], groups: FrozenSet[str]
    ) -> Tuple[torch.Tensor, Callable[[np.ndarray], Measured]]:
        names, orders = [SQUARES], [2.0]
        if NORM_ONLY not in groups:
            names.append(MAX_ABS)
            orders.append(float("inf"))
        if MOMENTS in groups:
            names.append(SUM_ABS)
            orders.append(1.0)
        values = torch.zeros((len(orders), self._count), dtype=torch.float64, device=self._device)
        for dtype, at in self._dtypes.items():
            here = [slices[i] for i in at]
            for row, order in enumerate(orders):
                values[row, self._places[dtype]] = torch.stack(_norms(here, order)).to(torch.float64)
        return values, lambda arrived: self._finish(arrived, names)

    def _finish(self, arrived: np.ndarray, names: List[int]) -> Measured:
        rows = np.zeros((ROWS, self._count))
        rows[names] = arrived.reshape(len(names), self._count)
        sure = rows[MAX_ABS] if MAX_ABS in names else rows[SQUARES]
        nan, infinite = np.isnan(rows[SQUARES]) | np.isnan(sure), np.isinf(sure)
        # What is finite overflows as a sum of squares earlier than as a maximum.
        rows[SQUARES] = np.minimum(rows[SQUARES], _FLOAT_MAX) ** 2
        rows[:, nan | infinite] = 0
        rows[NANS, nan] = 1
        rows[POS_INFS, infinite & ~nan] = 1
        return Measured(rows, frozenset(names) | {NANS, POS_INFS, NEG_INFS}, None)


def _norms(slices: List[torch.Tensor], order: float) -> List[torch.Tensor]:
    """In float32 at least: a bfloat16 norm would have 8 bits."""
    if slices[0].dtype in (torch.float32, torch.float64):
        return list(torch._foreach_norm(slices, order))
    try:
        return list(torch._foreach_norm(slices, order, dtype=torch.float32))
    except TypeError:  # Older versions: a copy in float32, of few slices at a time.
        norms: List[torch.Tensor] = []
        for begin in range(0, len(slices), 64):
            norms += torch._foreach_norm([one.float() for one in slices[begin : begin + 64]], order)
        return norms


class Ring:
    """Pinned memory in which what is measured on a device arrives, without the training waiting for it.

    A slot is free again once its values are read, or nobody can read them any more and the copy into it is over. When
    all are taken, the oldest one that has arrived is moved to plain memory.
    """

    def __init__(self, device: torch.device, limit: int = 8, runtime: Any = None) -> None:
        self._device = device
        self._limit = limit
        self._runtime: Any = getattr(torch, device.type, None) if runtime is None else runtime
        self._stream: Any = None
        self._made = 0
        # A slot comes back from any thread, even from within a garbage collection: no lock may be needed for it.
        self._free: Deque[Tuple[torch.Tensor, Any]] = deque()
        self._under_way: Deque["weakref.ReferenceType[_Arrival]"] = deque()

    def read(self, values: torch.Tensor) -> Callable[[], np.ndarray]:
        """Starts to copy a device's float64 values; the result waits for them and returns them, in one dimension.

        Raises RuntimeError if too much is on its way already.
        """
        flat = values.reshape(-1)
        if not hasattr(self._runtime, "Event"):
            # Copied by who asks for it.
            return lambda: flat.cpu().numpy()
        slot = self._slot(flat.numel())
        if self._stream is None:
            self._stream = self._runtime.Stream(self._device)
        self._stream.wait_stream(self._runtime.current_stream(self._device))
        with self._runtime.stream(self._stream):
            slot[: flat.numel()].copy_(flat, non_blocking=True)
            event = self._runtime.Event()
            event.record(self._stream)
        # Else its memory could be given to other tensors before the copy has read it.
        flat.record_stream(self._stream)
        arrival = _Arrival(self, slot, flat.numel(), event)
        self._under_way.append(weakref.ref(arrival))
        return arrival.values

    def give_back(self, slot: torch.Tensor, event: Any) -> None:
        self._free.append((slot, event))

    def _slot(self, size: int) -> torch.Tensor:
        slot = self._free_slot(size)
        if slot is None and self._made < self._limit:
            self._made += 1
            slot = self._pinned(size)
        while slot is None:
            oldest = self._under_way[0]() if self._under_way else None
            if oldest is not None and not oldest.has_arrived():
                raise RuntimeError(f"{self._limit} measurements are on their way from {self._device} already")
            if not self._under_way:
                slot = self._pinned(size)
                break
            self._under_way.popleft()
            if oldest is not None:
                oldest.move()
                slot = self._free_slot(size)
        return slot

    def _free_slot(self, size: int) -> Optional[torch.Tensor]:
        for _ in range(len(self._free)):
            slot, event = self._free.popleft()
            if not event.query():
                self._free.append((slot, event))
            elif slot.numel() >= size:
                return slot
            else:
                return self._pinned(size)
        return None

    def _pinned(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.float64, pin_memory=self._device.type == "cuda")


class _Arrival:
    """Values on their way into a slot."""

    def __init__(self, ring: Ring, slot: torch.Tensor, size: int, event: Any) -> None:
        self._ring = ring
        self._slot: Optional[torch.Tensor] = slot
        self._size = size
        self._event = event
        self._moved: Optional[np.ndarray] = None
        self._lock = threading.Lock()

    def has_arrived(self) -> bool:
        return bool(self._event.query())

    def move(self) -> None:
        """Into plain memory; waits until they are there."""
        with self._lock:
            if self._slot is not None:
                self._event.synchronize()
                self._moved = self._slot[: self._size].numpy().copy()
                self._ring.give_back(self._slot, self._event)
                self._slot = None

    def values(self) -> np.ndarray:
        self.move()
        assert self._moved is not None
        return self._moved

    def __del__(self) -> None:
        if self._slot is not None:
            self._ring.give_back(self._slot, self._event)
