"""The Triton kernels measure what numpy measures, run by Triton's interpreter: no GPU is needed, and none is tested."""

from __future__ import annotations

import math
from typing import Any, FrozenSet, List

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from gradflow import kernels  # noqa: E402
from gradflow.measuring import (  # noqa: E402
    HISTOGRAM,
    MOMENTS,
    NORM_ONLY,
    ROWS,
    SUM,
    SUM_ABS,
    ZEROS,
    HostMeter,
    Measured,
)

ALL = frozenset([MOMENTS, HISTOGRAM])


def measured(plan: kernels.KernelPlan, slices: List[torch.Tensor], groups: FrozenSet[str] = ALL) -> Measured:
    values, finish = plan.start(slices, groups)
    return finish(values.numpy().reshape(-1))


def assert_as_numpy(slices: List[torch.Tensor], groups: FrozenSet[str] = ALL) -> None:
    found = measured(kernels.KernelPlan(slices), slices, groups)
    _, finish = HostMeter().plan(slices).start(slices, groups)
    wanted = finish(np.zeros(0))
    assert found.has == wanted.has
    for row in range(ROWS):
        if row in wanted.has:
            # Of a slice of zeros, or without elements, the least magnitude is 0 or infinite: it has none.
            a, b = (np.where(np.isinf(one.rows[row]), 0, one.rows[row]) for one in (found, wanted))
            slack = 1e-6 * wanted.rows[SUM_ABS] if row == SUM else np.zeros(len(slices))
            assert np.allclose(a, b, rtol=1e-6, atol=slack), (row, a, b)
    if wanted.histogram is not None:
        for a, b in zip(vars(found.histogram).values(), vars(wanted.histogram).values()):
            np.testing.assert_array_equal(a, b)


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_sizes_and_dtypes() -> None:
    slices = [randn(1), randn(1024), randn(1025), randn(7, 5), randn(32_768), randn(32_769), randn(100_000)]
    slices += [randn(300).bfloat16(), randn(33_000).half(), torch.tensor(2.5), randn(5, 6).bfloat16()]
    slices[3][:2] = 0
    assert_as_numpy(slices)


def test_what_is_not_finite_and_what_is_tiny_or_huge() -> None:
    small = torch.tensor([1.0, math.nan, -2.0, math.inf, 0.0, -math.inf, math.inf])
    large = randn(70_000)
    large[[5, 40_000]] = math.nan
    large[69_999] = -math.inf
    extremes = torch.tensor([1.401298464324817e-45, -1e-40, 1.17549435e-38, 0.0, 3e38, -3e38])
    assert_as_numpy([small, large, extremes, torch.full((3,), math.nan), torch.full((500,), 1e-30)])


def test_float64_is_kept_and_has_no_histogram() -> None:
    slices = [randn(10).double() * 1e50, randn(70_000).double(), randn(4)]
    assert_as_numpy(slices, frozenset([MOMENTS]))
    assert measured(kernels.KernelPlan(slices), slices).histogram is None


def test_only_what_is_asked_for() -> None:
    slices = [randn(10), randn(40_000)]
    assert_as_numpy(slices, frozenset())
    assert_as_numpy(slices, frozenset([NORM_ONLY]))
    assert measured(kernels.KernelPlan(slices), slices, frozenset()).column(ZEROS) is None


def test_layouts_with_and_without_gaps_and_empty_slices() -> None:
    base = randn(40, 30)
    assert_as_numpy(
        [
            base.t(),
            torch.zeros(0),
            base[:, ::2],
            randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last),
            base[3],
        ]
    )


def test_slices_that_moved_are_found_again() -> None:
    slices = [randn(10), randn(40, 30)[:, ::2]]
    plan = kernels.KernelPlan(slices)
    first = measured(plan, slices)
    slices[0] *= 2
    assert measured(plan, slices).rows[0][0] == pytest.approx(4 * first.rows[0][0])
    assert measured(plan, slices).rows[0][1] == first.rows[0][1]
    moved = [randn(10, seed=2), randn(40, 30, seed=3)[:, ::2]]
    assert measured(plan, moved).rows[0] == pytest.approx([one.double().square().sum().item() for one in moved])


def test_kernels_that_measure_something_else_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.tried(torch.device("cpu")) is kernels.KernelPlan
    real = kernels._finished

    def off_by_little(rows: np.ndarray, *rest: Any) -> Measured:
        return real(rows * (1 + 1e-5), *rest)

    monkeypatch.setattr(kernels, "_finished", off_by_little)
    assert kernels.tried(torch.device("cpu")) is None
