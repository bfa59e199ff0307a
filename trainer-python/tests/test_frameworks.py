"""Frameworks that are not installed here, by stand-ins that have what the real ones have; and what is refused."""

from __future__ import annotations

import logging
import sys
import types
from typing import Any, Dict, List, Optional

import pytest
import torch
from fakes import FakePublisher, by_name
from torch import nn

import gradflow
from gradflow.records import REDUCED, MeshAxis


def published(model: nn.Module, rank: int, world_size: int = 2, **options: Any) -> Any:
    watch = gradflow.watch(
        model,
        run="r",
        bootstrap_servers="nowhere:1",
        publisher=FakePublisher,
        rank=rank,
        world_size=world_size,
        attempt=1,
        **options,
    )
    if not watch.enabled:
        return None, []
    watch.before_step()
    watch.close()
    return watch.manifest, watch._publisher.shards


def with_gradients() -> nn.Module:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2))
    model(torch.randn(6, 3)).square().sum().backward()
    return model


def squares(found: List[Any]) -> Dict[str, float]:
    sums: Dict[str, float] = {}
    for manifest, shards in found:
        for name, norm in by_name(manifest, shards[0].columns).items():
            sums[name] = sums.get(name, 0) + norm * norm
    return sums


def elements(found: List[Any]) -> Dict[str, float]:
    sums: Dict[str, float] = {}
    for manifest, shards in found:
        for name, count in by_name(manifest, shards[0].columns, "elements").items():
            sums[name] = sums.get(name, 0) + count
    return sums


# DeepSpeed. A stand-in for the engine and its optimisers: attribute for attribute what the real ones put on parameters.


class StandInEngine(nn.Module):
    def __init__(self, module: nn.Module, stage: int, scale: Optional[float] = None) -> None:
        super().__init__()
        self.module = module
        self.stage = stage
        self.optimizer = types.SimpleNamespace(loss_scale=scale, param_groups=[{"lr": 0.5}])

    def zero_optimization_stage(self) -> int:
        return self.stage


def partitioned(rank: int, whole_buffers: bool = False) -> StandInEngine:
    """Stage 2: all gradients end to end, cut in two; a rank keeps its half, and p.grad is gone."""
    model = with_gradients()
    parameters = list(model.parameters())
    half = (sum(p.numel() for p in parameters) + 1) // 2
    own_begin, own_end = rank * half, (rank + 1) * half
    fragments: List[torch.Tensor] = []
    begin = 0
    for p in parameters:
        first, last = max(begin, own_begin), min(begin + p.numel(), own_end)
        p._hp_mapping = None
        if first < last:
            p._hp_mapping = types.SimpleNamespace(
                lp_fragment_address=types.SimpleNamespace(start=first - begin, numel=last - first),
                gradient_dict={0: fragments},
                use_offload=False,
                param_group_index=0,
            )
            p._index_in_param_group = len(fragments)
            flat = p.grad.reshape(-1)
            fragments.append(flat if whole_buffers else flat[first - begin : last - begin])
        begin += p.numel()
        p.grad = None
    return StandInEngine(model, 2, 8.0)


@pytest.mark.parametrize("whole_buffers", [False, True])
def test_deepspeed_partitions_add_up(whole_buffers: bool) -> None:
    found = [published(partitioned(rank, whole_buffers), rank) for rank in range(2)]
    wanted = {name: p.grad.double().square().sum().item() for name, p in with_gradients().named_parameters()}
    assert squares(found) == pytest.approx(wanted, rel=1e-6)
    assert elements(found) == {name: p.numel() for name, p in with_gradients().named_parameters()}
    for rank, (manifest, (shard,)) in enumerate(found):
        assert manifest.mesh == (MeshAxis("dp_shard", 2),) and list(shard.coords) == [rank]
        assert shard.loss_scale == 8
        assert set(by_name(manifest, shard.columns, "weight_norm")) == set(by_name(manifest, shard.columns))


class StandInStage3:
    """Stage 3: each parameter is cut by itself, and padded so that the parts are equal."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.gradients: Dict[int, torch.Tensor] = {}

    def take(self, p: Any) -> None:
        p.ds_numel, p.ds_id, p._z3_optimizer = p.numel(), id(p), self
        size = (p.numel() + 1) // 2
        for values, keep in (
            (p.grad, self.gradients.__setitem__),
            (p.detach(), lambda _, part: setattr(p, "ds_tensor", part)),
        ):
            padded = torch.zeros(2 * size)
            padded[: p.numel()] = values.reshape(-1)
            keep(id(p), padded[self.rank * size : (self.rank + 1) * size].clone())
        p.grad = None
        p.data = torch.empty(0)

    def get_local_fp32_grad_for_param(self, p: Any) -> torch.Tensor:
        return self.gradients[id(p)]


def test_deepspeed_stage_3_is_measured_without_its_padding() -> None:
    found = []
    for rank in range(2):
        model, optimizer = with_gradients(), StandInStage3(rank)
        for p in model.parameters():
            optimizer.take(p)
        found.append(published(StandInEngine(model, 3), rank))
    whole = dict(with_gradients().named_parameters())
    assert squares(found) == pytest.approx(
        {n: p.grad.double().square().sum().item() for n, p in whole.items()}, rel=1e-6
    )
    assert elements(found) == {name: p.numel() for name, p in whole.items()}
    assert sum(float(s[0].columns.zeros.sum()) for _, s in found) == sum(
        int((p.grad == 0).sum()) for p in whole.values()
    )


def test_deepspeed_without_partitions_is_as_ddp() -> None:
    engine = StandInEngine(with_gradients(), 0)
    manifest, (shard,) = published(engine, 0)
    assert manifest.mesh == (MeshAxis("dp_replicate", 2),) and manifest.reporting[0].ranks == (0,)
    assert by_name(manifest, shard.columns)["0.weight"] == pytest.approx(engine.module[0].weight.grad.norm().item())
    assert published(StandInEngine(with_gradients(), 0), 1)[1] == []


# Megatron.


def stand_in_state(monkeypatch: pytest.MonkeyPatch, **places: Any) -> None:
    """In the place of ``megatron.core.parallel_state``; a place is (size, rank)."""
    state = types.ModuleType("megatron.core.parallel_state")
    for kind in ("pipeline_model", "data", "context", "tensor_model", "expert_model"):
        size, rank = places.get(kind, (1, 0))
        setattr(state, f"get_{kind}_parallel_world_size", lambda size=size: size)
        setattr(state, f"get_{kind}_parallel_rank", lambda rank=rank: rank)
    monkeypatch.setitem(sys.modules, "megatron.core.parallel_state", state)


def megatron_model(tensor_rank: int) -> nn.Module:
    """The first layer's rows are split over two ranks; the second is whole on both."""
    model = with_gradients()
    for p in model.parameters():
        p.main_grad, p.grad = p.grad.clone(), None
    half = nn.Linear(3, 3)
    for name in ("weight", "bias"):
        p, whole = getattr(half, name), getattr(model[0], name)
        rows = slice(0, 3) if tensor_rank == 0 else slice(3, 6)
        p.data, p.main_grad, p.tensor_model_parallel = whole.data[rows], whole.main_grad[rows], True
    model[0] = half
    return model


def test_megatron_tensor_parallel_slices_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rank in range(2):
        stand_in_state(monkeypatch, tensor_model=(2, rank))
        found.append(published(megatron_model(rank), rank))
    assert found[0][0] == found[1][0]
    manifest = found[0][0]
    assert manifest.mesh == (MeshAxis("tp", 2),)
    assert [layer.placement for layer in manifest.layers] == [("SHARD",), ("SHARD",), ("REPLICATE",), ("REPLICATE",)]
    whole = {n: p.grad.double().square().sum().item() for n, p in with_gradients().named_parameters()}
    sums = squares(found)
    assert sums["0.weight"] == pytest.approx(whole["0.weight"], rel=1e-6)
    assert sums["1.weight"] == pytest.approx(2 * whole["1.weight"], rel=1e-6)


def test_megatron_stages_have_names_and_ranks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_state(monkeypatch, pipeline_model=(2, 1), data=(2, 1))
    model = with_gradients()
    for p in model.parameters():
        p.main_grad = p.grad
    model[0].weight.shared_embedding = True
    manifest, shards = published(model, 3, 4)
    assert [layer.name for layer in manifest.layers] == ["pp1.0.bias", "pp1.1.weight", "pp1.1.bias"]
    assert manifest.mesh == (MeshAxis("pp", 2), MeshAxis("dp_replicate", 2))
    assert [(r.stage, r.ranks) for r in manifest.reporting] == [(REDUCED, (2,))]
    assert shards == []


@pytest.mark.parametrize(
    "places, distributed_optimizer, reason",
    [
        ({"data": (2, 0)}, True, "distributed optimizer"),
        ({"data": (2, 1)}, False, "default order"),
        ({"data": (2, 0), "expert_model": (2, 0)}, False, "expert parallelism"),
    ],
)
def test_of_megatron_what_is_not_exact_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: Any, places: Any, distributed_optimizer: bool, reason: str
) -> None:
    stand_in_state(monkeypatch, **places)
    model = with_gradients()
    for p in model.parameters():
        p.main_grad = p.grad
    model.ddp_config = types.SimpleNamespace(use_distributed_optimizer=distributed_optimizer)
    with caplog.at_level(logging.WARNING, "gradflow"):
        assert published(model, 0) == (None, [])
    assert "nothing is watched" in caplog.text and reason in caplog.text


def test_a_model_in_no_framework_is_taken_as_reduced_and_that_is_said(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "gradflow"):
        manifest, shards = published(with_gradients(), 0)
    assert manifest.reporting[0].ranks == (0,) and len(shards) == 1
    assert "taken to be reduced over all 2 ranks" in caplog.text
