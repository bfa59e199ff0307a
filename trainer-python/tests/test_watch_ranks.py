"""Two ranks over gloo: what is published is what float64 says of the same gradients."""

from __future__ import annotations

import contextlib
import copy
import importlib
import math
import time
from typing import Any, Dict, List

import pytest
import torch
import torch.distributed as dist
from fakes import FakePublisher, by_name, layers_of
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

import gradflow
from gradflow.records import LOCAL, REDUCED, MeshAxis

EXACT = 1e-6


def importable(*names: str) -> Any:
    """Skips a test of what this version of torch does not have."""
    missing = []
    for name in names:
        module, _, attribute = name.partition(":")
        try:
            found = (
                hasattr(importlib.import_module(module), attribute) if attribute else importlib.import_module(module)
            )
        except Exception:  # FSDP of torch 1.13 cannot be imported under Python 3.11.
            found = False
        missing += [] if found else [name]
    return pytest.mark.skipif(bool(missing), reason=f"this version of torch has no {', '.join(missing)}")


class Net(nn.Module):
    """A tied output, a frozen layer, one that may be left unused, and a norm."""

    def __init__(self, uses_all: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.norm = nn.LayerNorm(16)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(3)])
        self.frozen = nn.Linear(16, 16)
        self.spare = nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight
        self.frozen.requires_grad_(False)
        self.uses_all = uses_all

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embed(tokens))
        for block in self.blocks:
            x = x + block(x)
        x = x + self.frozen(x)
        if self.uses_all:
            x = x + self.spare(x)
        return self.head(x)


def batch(rank: int, step: int, micro: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * step + 10 * rank + micro)
    return torch.randint(0, 50, (4, 7), generator=generator)


def loss_of(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def norms64(named: Any) -> Dict[str, float]:
    return {name: p.grad.double().norm().item() for name, p in named if p.grad is not None}


def watched(model: nn.Module, **options: Any) -> gradflow.Watch:
    return gradflow.watch(model, run="r", bootstrap_servers="nowhere:1", publisher=FakePublisher, **options)


def ddp_steps(rank: int, steps: int = 3, micro: int = 1, uses_all: bool = True, **options: Any) -> Dict[str, Any]:
    model = Net(uses_all)
    ddp = DDP(model, find_unused_parameters=not uses_all)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    watch = watched(ddp, optimizer=optimizer, **options)
    expected: List[Dict[str, Dict[str, float]]] = []
    for step in range(steps):
        alone = copy.deepcopy(model)
        for k in range(micro):
            loss_of(alone, batch(rank, step, k)).backward()
        for k in range(micro):
            with contextlib.nullcontext() if k == micro - 1 else ddp.no_sync():
                loss = loss_of(ddp, batch(rank, step, k))
                loss.backward()
        expected.append({LOCAL: norms64(alone.named_parameters()), REDUCED: norms64(model.named_parameters())})
        watch.before_step(loss=loss)
        optimizer.step()
        optimizer.zero_grad()
    watch.close(finished=True)
    publisher = watch._publisher
    return {
        "announced": publisher.announced,
        "manifest": watch.manifest,
        "shards": publisher.shards,
        "events": publisher.events,
        "expected": expected,
        "loss": loss.item(),
    }


def test_ddp_publishes_local_gradients_of_all_ranks_and_the_reduced_of_rank_0(ranks: Any) -> None:
    both = ranks.run(ddp_steps)

    manifest = both[0]["announced"][0]
    assert both[1]["announced"] == [] and both[1]["manifest"] == manifest
    assert manifest.mesh == (MeshAxis("dp_replicate", 2),)
    assert [(r.stage, r.ranks) for r in manifest.reporting] == [(LOCAL, None), (REDUCED, (0,))]
    assert {layer.name: layer.tied_to for layer in manifest.layers}["head.weight"] == "embed.weight"
    assert not {layer.name: layer.trainable for layer in manifest.layers}["frozen.weight"]
    for rank, one in enumerate(both):
        assert [(s.step, s.stage) for s in one["shards"]] == [
            (step, stage) for step in range(3) for stage in ((LOCAL, REDUCED) if rank == 0 else (LOCAL,))
        ]
        for shard in one["shards"]:
            assert shard.rank == rank and list(shard.coords) == [rank]
            published = by_name(manifest, shard.columns)
            reference = one["expected"][shard.step][shard.stage]
            assert published == pytest.approx(reference, rel=EXACT), (rank, shard.step, shard.stage)
    assert both[0]["shards"][-1].loss == pytest.approx(both[0]["loss"])
    assert [event[:2] for event in both[0]["events"]] == [("STARTED", -1), ("FINISHED", 2)]
    assert both[1]["events"] == []


def test_only_the_accumulated_gradient_of_micro_batches_is_published(ranks: Any) -> None:
    for rank, one in enumerate(ranks.run(ddp_steps, 2, 3)):
        assert len(one["shards"]) == (4 if rank == 0 else 2)
        for shard in one["shards"]:
            reference = one["expected"][shard.step][shard.stage]
            assert by_name(one["manifest"], shard.columns) == pytest.approx(reference, rel=EXACT)


def test_a_layer_that_nobody_used_is_absent_and_not_zero(ranks: Any) -> None:
    both = ranks.run(ddp_steps, 2, 1, False)
    for one in both:
        for shard in one["shards"]:
            published = by_name(one["manifest"], shard.columns)
            assert "spare.weight" not in published and "embed.weight" in published
            assert published == pytest.approx(
                {n: v for n, v in one["expected"][shard.step][shard.stage].items() if not n.startswith("spare")},
                rel=EXACT,
            )


def hooked_parameters(rank: int, with_watch: bool, hook: str, as_view: bool) -> List[torch.Tensor]:
    torch.manual_seed(3)
    ddp = DDP(Net(), gradient_as_bucket_view=as_view, bucket_cap_mb=0.01)
    optimizer = torch.optim.Adam(ddp.parameters(), lr=0.01)
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    given = {"comm_hook": (None, default_hooks.fp16_compress_hook)} if with_watch and hook == "given" else {}
    watch = watched(ddp, optimizer=optimizer, max_norm=1.0, **given) if with_watch else None
    if hook == "later" or (hook == "given" and not with_watch):
        ddp.register_comm_hook(None, default_hooks.fp16_compress_hook)
    for step in range(20):
        loss = loss_of(ddp, batch(rank, step))
        loss.backward()
        if watch is not None:
            watch.before_step(loss=loss)
        norm = torch.nn.utils.clip_grad_norm_(ddp.parameters(), 1.0)
        if watch is not None:
            watch.after_clip(norm)
        optimizer.step()
        optimizer.zero_grad()
    if watch is not None:
        assert len(watch._publisher.shards) == (40 if rank == 0 else 20)
        assert watch._publisher.dropped == 0
    return [p.detach().clone() for p in ddp.parameters()]


@pytest.mark.parametrize("hook, as_view", [("none", False), ("none", True), ("given", False), ("later", False)])
def test_a_training_ends_with_the_same_bits_as_without_being_watched(ranks: Any, hook: str, as_view: bool) -> None:
    with_watch = ranks.run(hooked_parameters, True, hook, as_view)
    without = ranks.run(hooked_parameters, False, hook, as_view)
    for rank in range(2):
        for a, b in zip(with_watch[rank], without[rank]):
            assert torch.equal(a, b)


def with_a_hook_of_its_own(rank: int) -> Any:
    ddp = DDP(nn.Linear(4, 2))
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    ddp.register_comm_hook(None, default_hooks.allreduce_hook)
    watch = watched(ddp)
    ddp(torch.ones(1, 4)).sum().backward()
    watch.before_step()
    watch.close()
    return [(r.stage, r.ranks) for r in watch.manifest.reporting], [s.stage for s in watch._publisher.shards]


def test_with_a_hook_registered_before_only_the_reduced_gradient_is_published(ranks: Any) -> None:
    both = ranks.run(with_a_hook_of_its_own)
    assert both == [([(REDUCED, (0,))], [REDUCED]), ([(REDUCED, (0,))], [])]


def clipped_steps(rank: int) -> Any:
    model = Net()
    ddp = DDP(model)
    watch = watched(ddp, max_norm=0.05)
    norms = []
    for step in range(3):
        loss_of(ddp, batch(rank, step)).backward()
        watch.before_step()
        norms.append(float(torch.nn.utils.clip_grad_norm_(ddp.parameters(), 0.05)))
        watch.after_clip(torch.tensor(norms[-1]))
        ddp.zero_grad()
    handed_over_before_the_end = len(watch._publisher.shards)
    watch.close()
    return norms, watch._publisher.shards, handed_over_before_the_end


def test_clipping_is_told_and_what_is_published_is_from_before_it(ranks: Any) -> None:
    norms, shards, handed_over = ranks.run(clipped_steps)[0]
    assert handed_over == len(shards) == 6
    for shard in [s for s in shards if s.stage == REDUCED]:
        expected = norms[shard.step]
        assert math.sqrt(float((shard.columns.norm.astype("f8") ** 2).sum())) == pytest.approx(expected, rel=1e-5)
        assert (shard.clip_mode, shard.clip_norm, shard.clip_applied) == ("norm", 0.05, False)
        assert shard.reported_global_norm == pytest.approx(expected)
        assert shard.clip_coef == pytest.approx(0.05 / expected, rel=1e-4)


def poisoned_steps(rank: int) -> Any:
    model = Net()
    ddp = DDP(model)
    watch = watched(ddp)
    for step in range(2):
        loss = loss_of(ddp, batch(rank, step))
        if step == 1 and rank == 1:
            handle = model.blocks[1][0].weight.register_hook(lambda g: g.index_fill(0, torch.tensor([0]), float("nan")))
        loss.backward()
        watch.before_step(loss=loss)
        ddp.zero_grad()
    handle.remove() if rank == 1 else None
    return watch.manifest, watch._publisher.shards


def test_a_nan_is_seen_on_the_rank_that_made_it(ranks: Any) -> None:
    (manifest, of_0), (_, of_1) = ranks.run(poisoned_steps)

    def bad(shards: Any, stage: str) -> Dict[str, int]:
        columns = next(s.columns for s in shards if s.step == 1 and s.stage == stage)
        if columns.nonfinite_layers is None:
            return {}
        return {manifest.layers[i].name: int(n) for i, n in zip(columns.nonfinite_layers, columns.nans)}

    assert bad(of_0, LOCAL) == {}
    assert bad(of_1, LOCAL) == {"blocks.1.0.weight": 16}
    assert bad(of_0, REDUCED) == {"blocks.1.0.weight": 16}


def sampled_steps(rank: int) -> Any:
    ddp = DDP(nn.Linear(4, 2))
    watch = watched(ddp, every=3)
    for _ in range(8):
        ddp(torch.ones(1, 4)).sum().backward()
        watch.before_step()
    watch.close()
    return [(s.stage, s.step, s.previous_step) for s in watch._publisher.shards], watch.manifest.reporting[0].every


def test_one_step_in_so_many_is_published(ranks: Any) -> None:
    shards, every = ranks.run(sampled_steps)[1]
    assert every == 3
    assert shards == [(LOCAL, 0, -1), (LOCAL, 3, 0), (LOCAL, 6, 3)]


def attempts(rank: int) -> Any:
    ddp = DDP(nn.Linear(4, 2))
    generator, discriminator = watched(ddp, stream="generator"), watched(nn.Linear(3, 1), stream="discriminator")
    again = watched(nn.Linear(3, 1), stream="generator")
    return [one.options.attempt for one in (generator, discriminator, again)]


def test_ranks_and_streams_share_an_attempt_and_a_second_training_has_a_later_one(ranks: Any) -> None:
    first, second = ranks.run(attempts)
    assert first == second
    assert first[0] == first[1] < first[2]


# Sharded.


class Uneven(nn.Module):
    """Sizes that two ranks cannot share evenly, down to one row."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 7)
        self.inner = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(torch.tanh(self.first(x)))


def samples(rank: int, step: int) -> torch.Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(100 * step + rank))


def reference(model: nn.Module, step: int) -> Dict[str, torch.Tensor]:
    """The mean gradient of both ranks in float64."""
    whole = copy.deepcopy(model).double()
    sum(whole(samples(rank, step).double()).square().mean() for rank in range(2)).div(2).backward()
    return {name: p.grad for name, p in whole.named_parameters()}


def sharded_steps(rank: int, wrap: str) -> Any:
    plain = Uneven()
    model: nn.Module = copy.deepcopy(plain)
    if wrap == "fsdp2":
        from torch.distributed.fsdp import fully_shard

        fully_shard(model.inner)
        fully_shard(model)
    else:
        from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
        from torch.distributed.fsdp import ShardingStrategy

        strategy = ShardingStrategy.NO_SHARD if wrap == "fsdp1-no-shard" else ShardingStrategy.FULL_SHARD
        settings = dict(device_id=torch.device("cpu"), sharding_strategy=strategy, use_orig_params=wrap == "fsdp1-orig")
        model.inner = FSDP(model.inner, **settings)
        model = FSDP(model, **settings)
    watch = watched(model, signals="moments,weights,histogram")
    model(samples(rank, 0)).square().mean().backward()
    watch.before_step()
    watch.close()
    expected = reference(plain, 0)
    weights = {name: p.detach().double().norm().item() for name, p in plain.named_parameters()}
    return watch.manifest, watch._publisher.announced, watch._publisher.shards, expected, weights


@pytest.mark.parametrize(
    "wrap",
    [pytest.param("fsdp2", marks=importable("torch.distributed.fsdp:fully_shard"))]
    + [pytest.param(f"fsdp1{how}", marks=importable("torch.distributed.fsdp")) for how in ("-orig", "", "-no-shard")],
)
def test_slices_add_up_to_the_reduced_gradient(ranks: Any, wrap: str) -> None:
    both = ranks.run(sharded_steps, wrap)
    manifest, announced, _, expected, weights = both[0]
    assert announced == [manifest] and both[1][:2] == (manifest, [])
    sharded = wrap != "fsdp1-no-shard"
    assert manifest.mesh == (MeshAxis("dp_shard" if sharded else "dp_replicate", 2),)
    assert {layer.name: layer.elements for layer in manifest.layers} == {n: g.numel() for n, g in expected.items()}
    assert {layer.placement for layer in manifest.layers} == {("SHARD",) if sharded else ("REPLICATE",)}
    columns = ["norm", "sum", "zeros", "elements", "weight_norm"]
    sums: Dict[str, Dict[str, float]] = {column: {} for column in columns}
    largest: Dict[str, float] = {}
    for rank, (_, _, shards, _, _) in enumerate(both):
        assert [s.stage for s in shards] == ([REDUCED] if sharded or rank == 0 else [])
        for shard in shards:
            assert list(shard.coords) == [rank]
            if not sharded:
                assert shard.columns.elements is None
                continue
            for column in columns:
                for name, value in by_name(manifest, shard.columns, column).items():
                    squared = value * value if column.endswith("norm") else value
                    sums[column][name] = sums[column].get(name, 0) + squared
            for name, value in by_name(manifest, shard.columns, "max_abs").items():
                largest[name] = max(largest.get(name, 0), value)
    if sharded:
        squares = {name: g.square().sum().item() for name, g in expected.items()}
        assert sums["norm"] == pytest.approx(squares, rel=2e-5)
        assert sums["elements"] == {name: g.numel() for name, g in expected.items()}
        assert sums["sum"] == pytest.approx({n: g.sum().item() for n, g in expected.items()}, rel=1e-4, abs=1e-6)
        assert largest == pytest.approx({n: g.abs().max().item() for n, g in expected.items()}, rel=1e-5)
        assert sums["weight_norm"] == pytest.approx({n: w * w for n, w in weights.items()}, rel=1e-5)
    else:
        assert by_name(manifest, both[0][2][0].columns) == pytest.approx(
            {n: g.norm().item() for n, g in expected.items()}, rel=1e-5
        )


def hybrid_steps(rank: int) -> Any:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = Uneven()
    mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("outer", "inner"))
    fully_shard(model, mesh=mesh)
    watch = watched(model)
    model(samples(rank, 0)).square().mean().backward()
    watch.before_step()
    watch.close()
    return watch.manifest, watch._publisher.shards


@importable("torch.distributed.device_mesh", "torch.distributed.fsdp:fully_shard")
def test_hybrid_sharding_has_two_dimensions(ranks: Any) -> None:
    for rank, (manifest, shards) in enumerate(ranks.run(hybrid_steps)):
        assert manifest.mesh == (MeshAxis("dp_replicate", 2), MeshAxis("dp_shard", 1))
        assert {layer.placement for layer in manifest.layers} == {("REPLICATE", "SHARD")}
        assert [(s.stage, list(s.coords)) for s in shards] == [(REDUCED, [rank, 0])]


def tensor_parallel_steps(rank: int) -> Any:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plain = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4), nn.LayerNorm(4))
    model = copy.deepcopy(plain)
    mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
    parallelize_module(model, mesh["tp"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    watch = watched(model)
    x = samples(0, 0)
    model(x)[:, 0].square().mean().backward()
    watch.before_step()
    watch.close()
    whole = copy.deepcopy(plain).double()
    whole(x.double())[:, 0].square().mean().backward()
    return watch.manifest, watch._publisher.shards, norms64(whole.named_parameters())


@importable("torch.distributed.device_mesh", "torch.distributed.tensor.parallel")
def test_tensor_parallel_slices_add_up_and_copies_count_once(ranks: Any) -> None:
    both = ranks.run(tensor_parallel_steps)
    manifest, _, expected = both[0]
    assert manifest == both[1][0]
    assert [axis.name for axis in manifest.mesh] == ["dp_replicate", "tp"]
    placements = {layer.name: layer.placement[1] for layer in manifest.layers}
    assert placements == {
        "0.weight": "SHARD",
        "0.bias": "SHARD",
        "2.weight": "SHARD",
        "2.bias": "REPLICATE",
        "3.weight": "REPLICATE",
        "3.bias": "REPLICATE",
    }
    squares: Dict[str, float] = {}
    for rank, (_, shards, _) in enumerate(both):
        for name, norm in by_name(manifest, shards[0].columns).items():
            if placements[name] == "SHARD" or rank == 0:
                squares[name] = squares.get(name, 0) + norm * norm
    assert squares == pytest.approx({name: norm**2 for name, norm in expected.items()}, rel=1e-5)


def pipelined_steps(rank: int) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("pp",))
    model = nn.Sequential(nn.Linear(3, 2 + rank))
    watch = watched(model, mesh=mesh, layer_name=lambda name: f"layers.{rank}.{name}")
    model(torch.ones(1, 3)).sum().backward()
    watch.before_step()
    watch.close()
    return watch.manifest, watch._publisher.announced, watch._publisher.shards


@importable("torch.distributed.device_mesh")
def test_each_stage_of_a_pipeline_publishes_a_manifest_of_its_own(ranks: Any) -> None:
    for rank, (manifest, announced, shards) in enumerate(ranks.run(pipelined_steps)):
        assert announced == [manifest]
        assert manifest.mesh == (MeshAxis("pp", 2),)
        assert [layer.name for layer in manifest.layers] == [f"layers.{rank}.0.weight", f"layers.{rank}.0.bias"]
        assert [(r.stage, r.ranks) for r in manifest.reporting] == [(REDUCED, (rank,))]
        assert [list(s.coords) for s in shards] == [[rank]]


def compiled_steps(rank: int) -> Any:
    model = Net()
    ddp = DDP(model)
    compiled = torch.compile(ddp, backend="eager")
    watch = watched(compiled)
    loss_of(compiled, batch(rank, 0)).backward()
    expected = norms64(model.named_parameters())
    watch.before_step()
    watch.close()
    return watch.manifest, watch._publisher.shards, expected


@importable("torch:compile")
def test_a_compiled_model_is_watched_like_any(ranks: Any) -> None:
    manifest, shards, expected = ranks.run(compiled_steps)[0]
    assert [s.stage for s in shards] == [LOCAL, REDUCED]
    assert by_name(manifest, shards[1].columns) == pytest.approx(expected, rel=EXACT)


def static_graph_steps(rank: int) -> Any:
    model = Net()
    ddp = DDP(model, static_graph=True)
    watch = watched(ddp)
    for step in range(3):
        loss_of(ddp, batch(rank, step)).backward()
        expected = norms64(model.named_parameters())
        watch.before_step()
        ddp.zero_grad()
    return watch.manifest, watch._publisher.shards, expected


def test_a_static_graph_shows_its_local_gradients_too(ranks: Any) -> None:
    for rank, (manifest, shards, expected) in enumerate(ranks.run(static_graph_steps)):
        assert [s.stage for s in shards] == ([LOCAL, REDUCED] * 3 if rank == 0 else [LOCAL] * 3)
        assert all(len(layers_of(s.columns)) == len(expected) for s in shards)
        if rank == 0:
            assert by_name(manifest, shards[-1].columns) == pytest.approx(expected, rel=EXACT)


def sparse_steps(rank: int) -> Any:
    model = nn.ModuleDict({"embed": nn.Embedding(50, 4, sparse=True), "head": nn.Linear(4, 1)})
    ddp = DDP(_Bag(model))
    watch = watched(ddp)
    ddp(torch.tensor([1, 2, 2, 3 + rank])).sum().backward()
    grads = {"inner." + n: p.grad for n, p in model.named_parameters()}
    expected = {n: g.to_dense().double().norm().item() for n, g in grads.items()}
    zeros = int((grads["inner.embed.weight"].to_dense() == 0).sum())
    watch.before_step()
    watch.close()
    return watch.manifest, watch._publisher.shards, expected, zeros


class _Bag(nn.Module):
    def __init__(self, inner: nn.ModuleDict) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.inner["head"](self.inner["embed"](tokens))


def test_sparse_gradients_are_measured_as_the_dense_ones_they_stand_for(ranks: Any) -> None:
    manifest, shards, expected, zeros = ranks.run(sparse_steps)[0]
    reduced = next(s for s in shards if s.stage == REDUCED)
    assert by_name(manifest, reduced.columns) == pytest.approx(expected, rel=EXACT)
    assert by_name(manifest, reduced.columns, "zeros")["inner.embed.weight"] == zeros
    local = next(s for s in shards if s.stage == LOCAL)
    assert set(by_name(manifest, local.columns)) == {"inner.head.weight", "inner.head.bias"}


def brought_up_without_a_store(rank: int) -> Any:
    import gradflow.watching as watching

    real, watching.store_of_all = watching.store_of_all, lambda environ: None
    try:
        undecided = watched(nn.Linear(2, 2))
        decided = watched(nn.Linear(2, 2), attempt=5)
    finally:
        watching.store_of_all = real
    dist.barrier()
    return undecided.enabled, decided.enabled, decided.options.attempt


def test_without_a_store_an_attempt_must_be_given(ranks: Any) -> None:
    assert ranks.run(brought_up_without_a_store) == [(False, True, 5), (False, True, 5)]


def rank_0_cannot(rank: int) -> Any:
    began = time.monotonic()
    watch = watched(nn.ReLU() if rank == 0 else nn.Linear(2, 2))
    return watch.enabled, time.monotonic() - began < 50


def test_when_rank_0_cannot_watch_nobody_does_or_waits_for_it(ranks: Any) -> None:
    assert ranks.run(rank_0_cannot) == [(False, True), (False, True)]
