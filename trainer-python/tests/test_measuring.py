"""What is measured is what float64 says, in every dtype, size and layout."""

from __future__ import annotations

import gc
import math
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
import torch

from gradflow.measuring import (
    HISTOGRAM,
    MIN_NONZERO,
    MOMENTS,
    NANS,
    NEG_INFS,
    NORM_ONLY,
    POS_INFS,
    SUBNORMALS,
    SUM,
    SUM_ABS,
    ZEROS,
    ForeachPlan,
    Measured,
    Meter,
    Ring,
)

FLOAT_MAX = float(np.finfo(np.float32).max)


def measured(*slices: torch.Tensor, groups: Any = (MOMENTS, HISTOGRAM)) -> Measured:
    meter = Meter()
    (one,), _ = meter.read([meter.start("all", slices, frozenset(groups))])()
    return one


def expected(one: torch.Tensor) -> Dict[str, Any]:
    wide = one.detach().to_dense().double().reshape(-1)
    finite = wide[torch.isfinite(wide)]
    magnitudes = finite.abs()
    nonzero = magnitudes[magnitudes > 0]
    octaves: Dict[int, int] = {}
    for value in nonzero.tolist():
        octave = math.frexp(value)[1] - 1
        octaves[octave] = octaves.get(octave, 0) + 1
    return {
        "norm": finite.norm().item() if finite.numel() else 0.0,
        "max": magnitudes.max().item() if finite.numel() else 0.0,
        "nans": int(wide.isnan().sum()),
        "pos": int((wide == math.inf).sum()),
        "neg": int((wide == -math.inf).sum()),
        "zeros": int((wide == 0).sum()),
        "abs": magnitudes.sum().item(),
        "sum": finite.sum().item(),
        "least": nonzero.min().item() if nonzero.numel() else 0.0,
        "subnormals": int((nonzero < torch.finfo(one.dtype).tiny).sum()),
        "octaves": octaves,
    }


def assert_as_float64_says(slices: List[torch.Tensor]) -> None:
    found = measured(*slices)
    assert found.histogram is not None
    for i, one in enumerate(slices):
        wanted = expected(one)
        assert found.norm()[i] == pytest.approx(min(wanted["norm"], FLOAT_MAX), rel=3e-7), i
        assert found.max_abs()[i] == pytest.approx(wanted["max"], rel=1e-7), i
        for name, row in (
            ("nans", NANS),
            ("pos", POS_INFS),
            ("neg", NEG_INFS),
            ("zeros", ZEROS),
            ("subnormals", SUBNORMALS),
        ):
            column = found.column(row)
            assert column is not None and column[i] == wanted[name], (i, name)
        assert found.column(SUM_ABS)[i] == pytest.approx(min(wanted["abs"], FLOAT_MAX), rel=1e-6), i
        # A sum that a float32 cannot hold is unknown.
        total = wanted["sum"] if abs(wanted["sum"]) <= FLOAT_MAX else math.nan
        assert found.column(SUM)[i] == pytest.approx(total, rel=1e-6, abs=1e-6 * wanted["abs"], nan_ok=True), i
        assert found.column(MIN_NONZERO)[i] == pytest.approx(wanted["least"], rel=1e-7), i
        begin, end = found.histogram.offsets[i : i + 2]
        row_ = dict(zip(found.histogram.bins[begin:end].tolist(), found.histogram.counts[begin:end].tolist()))
        assert row_ == wanted["octaves"], i


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_many_small_and_some_large_slices(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(5)
    sizes = [1, 3, 64, 1000, 16_384, 16_385, 200_000, 0, 7, 131_072, 1] + [257] * 700
    slices = [torch.randn(size, generator=generator).to(dtype) for size in sizes]
    slices[2][::2] = 0
    slices[3][:] = 0
    slices[6][1000:1010] = 0
    assert_as_float64_says(slices)


def test_dtypes_and_layouts_side_by_side() -> None:
    generator = torch.Generator().manual_seed(6)
    base = torch.randn(40, 30, generator=generator)
    assert_as_float64_says(
        [
            base,
            base.t(),
            base[:, ::2],
            base[3],
            torch.randn(2, 3, 70, 70, generator=generator).contiguous(memory_format=torch.channels_last),
            torch.randn(5, 6, generator=generator).double(),
            torch.randn(9, generator=generator).bfloat16(),
            torch.tensor(2.5),
            torch.randn(300, 200, generator=generator).half().t(),
            torch.randn(300, 400, generator=generator)[:, ::2],
        ]
    )


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    small = torch.tensor([1.0, math.nan, -2.0, math.inf, 0.0, -math.inf, math.inf])
    large = torch.randn(50_000, generator=torch.Generator().manual_seed(7))
    large[[3, 40_000]] = math.nan
    large[9] = -math.inf
    large[10:12] = 0
    assert_as_float64_says([torch.ones(5), small, torch.full((3,), math.nan), large, torch.ones(2), small.half()])
    assert measured(small, torch.ones(1)).nonfinite().tolist() == [0]
    assert measured(torch.ones(3)).nonfinite() is None


def test_nothing_overflows_or_underflows() -> None:
    tiny, least = 1.17549435e-38, 1.401298464324817e-45
    assert_as_float64_says(
        [
            torch.full((1000,), 3e38),
            torch.full((1000,), 1e-30),
            torch.tensor([least, -tiny / 2, tiny, 0.0, 1e-3]),
            torch.full((20_000,), 1e-25),
            torch.full((10,), 1e25),
            torch.full((10,), 1e-20, dtype=torch.float64),
            torch.tensor([6e-8, 1e-5, 6.2e-5, 65504.0], dtype=torch.float16),
        ]
    )


def test_a_long_slice_is_added_up_without_losing_small_squares() -> None:
    one = torch.full((8 << 20,), 0.1)
    exact = math.sqrt(one.numel()) * float(one[0].double())
    assert measured(one, groups=()).norm()[0] == pytest.approx(exact, rel=1e-7)


def test_sparse_slices_are_measured_as_the_dense_ones_they_stand_for() -> None:
    sparse = torch.sparse_coo_tensor(
        torch.tensor([[1, 3, 1]]), torch.tensor([[1.0, 2.0], [0.0, 4.0], [5.0, -2.0]]), (6, 2)
    )
    assert_as_float64_says([torch.ones(3), sparse])


def test_what_is_not_asked_for_is_absent() -> None:
    found = measured(torch.ones(3), groups=())
    assert found.histogram is None
    assert [found.column(row) for row in (ZEROS, SUM_ABS, SUM, SUBNORMALS, MIN_NONZERO)] == [None] * 5
    assert measured(torch.full((4,), 2.0), groups=(NORM_ONLY,)).norm()[0] == 4


def test_a_slice_that_changed_its_shape_fails_and_is_measured_after_forgetting() -> None:
    meter = Meter()
    meter.start("key", [torch.ones(3)])
    with pytest.raises(RuntimeError):
        meter.start("key", [torch.ones(4)])
    meter.forget()
    (one,), _ = meter.read([meter.start("key", [torch.ones(4)])])()
    assert one.norm()[0] == 2


def test_a_hundred_thousand_slices() -> None:
    values = torch.randn(100_000, 3, generator=torch.Generator().manual_seed(8))
    found = measured(*values.unbind(0), groups=(MOMENTS,))
    np.testing.assert_allclose(found.norm(), values.double().norm(dim=1).float().numpy(), rtol=3e-7)


def test_scalars_come_with_what_is_measured() -> None:
    meter = Meter()
    started = [meter.start("a", [torch.ones(4)]), meter.start("b", [torch.full((4,), 2.0)])]
    measured_, numbers = meter.read(started, [torch.tensor(3.5), torch.tensor([7], dtype=torch.int64)])()
    assert [one.norm()[0] for one in measured_] == [2, 4]
    assert numbers == [3.5, 7.0]


# What is used on devices without Triton.


def by_foreach(*slices: torch.Tensor) -> Measured:
    values, finish = ForeachPlan(slices).start(slices, frozenset([MOMENTS]))
    return finish(values.numpy().reshape(-1))


def test_foreach_norms_are_float32_whatever_the_gradient_is() -> None:
    generator = torch.Generator().manual_seed(9)
    slices = [
        torch.randn(500, generator=generator).to(d)
        for d in (torch.float32, torch.bfloat16, torch.float16, torch.float64)
    ]
    slices.insert(2, torch.zeros(0))
    found = by_foreach(*slices)
    for i, one in enumerate(slices):
        wanted = expected(one)
        assert found.norm()[i] == pytest.approx(wanted["norm"], rel=1e-6)
        assert found.max_abs()[i] == pytest.approx(wanted["max"], rel=1e-6)
        assert found.column(SUM_ABS)[i] == pytest.approx(wanted["abs"], rel=1e-6)
    assert found.column(ZEROS) is None


def test_foreach_tells_a_nan_from_an_infinity_and_from_a_sum_that_overflows() -> None:
    found = by_foreach(torch.tensor([1.0, math.nan]), torch.tensor([1.0, -math.inf]), torch.tensor([3e38, 3e38]))
    assert found.nonfinite().tolist() == [0, 1]
    assert found.column(NANS).tolist() == [1, 0, 0]
    assert found.column(POS_INFS).tolist() == [0, 1, 0]
    assert found.norm()[2] == np.float32(FLOAT_MAX) and found.max_abs()[2] == np.float32(3e38)


# The ring, with a device of paper: what is copied arrives when its event says so.


class PaperEvent:
    def __init__(self, device: PaperDevice) -> None:
        self.device = device
        self.arrived = False

    def record(self, stream: Any) -> None:
        self.device.events.append(self)

    def query(self) -> bool:
        return self.arrived

    def synchronize(self) -> None:
        self.arrived = True


class PaperDevice:
    """In the place of ``torch.cuda``."""

    def __init__(self) -> None:
        self.events: List[PaperEvent] = []
        self.waits = 0

    def Event(self) -> PaperEvent:
        return PaperEvent(self)

    def Stream(self, device: Any) -> PaperDevice:
        return self

    def current_stream(self, device: Any) -> str:
        return "current"

    def wait_stream(self, stream: str) -> None:
        assert stream == "current"
        self.waits += 1

    def stream(self, stream: Any) -> Any:
        import contextlib

        return contextlib.nullcontext()


class PaperTensor:
    """A float64 tensor on the paper device."""

    def __init__(self, *values: float) -> None:
        self.inner = torch.tensor(values, dtype=torch.float64)

    def reshape(self, *_: int) -> PaperTensor:
        return self

    def numel(self) -> int:
        return self.inner.numel()

    def record_stream(self, stream: Any) -> None:
        pass


class PaperRing(Ring):
    def __init__(self, limit: int) -> None:
        self.paper = PaperDevice()
        self.slots: List[torch.Tensor] = []
        super().__init__(torch.device("meta"), limit, self.paper)

    def _pinned(self, size: int) -> torch.Tensor:
        class Slot(torch.Tensor):
            def copy_(self, source: Any, non_blocking: bool = False) -> Any:
                assert non_blocking
                return torch.Tensor.copy_(self, source.inner)

        self.slots.append(torch.empty(size, dtype=torch.float64).as_subclass(Slot))
        return self.slots[-1]


def read(ring: PaperRing, *values: float) -> Callable[[], np.ndarray]:
    return ring.read(PaperTensor(*values))  # type: ignore[arg-type]


def test_slots_are_used_again_once_they_are_read() -> None:
    ring = PaperRing(2)
    for step in range(10):
        fetch = read(ring, step, step + 1)
        assert fetch().tolist() == [step, step + 1]
    assert len(ring.slots) == 1 and ring.paper.waits == 10


def test_results_that_wait_move_out_of_their_slots_when_all_are_taken() -> None:
    ring = PaperRing(2)
    waiting = []
    for step in range(6):
        waiting.append(read(ring, step))
        ring.paper.events[-1].arrived = True
    assert len(ring.slots) == 2
    assert [fetch().tolist() for fetch in waiting] == [[step] for step in range(6)]


def test_with_too_much_on_its_way_the_training_does_not_wait() -> None:
    ring = PaperRing(2)
    first, second = read(ring, 1), read(ring, 2)
    with pytest.raises(RuntimeError, match="2 measurements are on their way"):
        read(ring, 3)
    assert not any(event.arrived for event in ring.paper.events)
    assert first().tolist() == [1]
    third = read(ring, 3)
    assert [second().tolist(), third().tolist()] == [[2], [3]]


def test_a_slot_that_nobody_will_read_is_free_only_when_its_copy_is_over() -> None:
    ring = PaperRing(1)
    dropped = read(ring, 1)
    del dropped
    gc.collect()
    # Its copy still writes there: another slot is made.
    assert read(ring, 2)().tolist() == [2]
    assert len(ring.slots) == 2


def test_a_slot_too_small_is_replaced() -> None:
    ring = PaperRing(1)
    assert read(ring, 1)().tolist() == [1]
    assert read(ring, 1, 2, 3)().tolist() == [1, 2, 3]
