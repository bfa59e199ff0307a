"""How gradients are spread over the ranks: which slices this rank holds, and how slices make a layer.

Each framework is recognised by what its objects have, not by its version. Where a gradient's place cannot be told
exactly there is none: `Unclear` says what is missing, and nothing is published that could be a wrong norm.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Tuple

import torch

from gradflow.model import Held, flat_handles
from gradflow.records import PARTIAL, REPLICATE, SHARD, MeshAxis

#: Names that meshes give their dimensions → those of the manifest.
_AXES: Mapping[str, str] = {
    "dp_replicate": "dp_replicate",
    "replicate": "dp_replicate",
    "ddp": "dp_replicate",
    "dp_shard": "dp_shard",
    "shard": "dp_shard",
    "fsdp": "dp_shard",
    "zero": "dp_shard",
    "tp": "tp",
    "mp": "tp",
    "model": "tp",
    "tensor": "tp",
    "pp": "pp",
    "pipe": "pp",
    "pipeline": "pp",
    "stage": "pp",
    "cp": "cp",
    "context": "cp",
    "sp": "cp",
    "ep": "ep",
    "expert": "ep",
}


class Unclear(ValueError):
    """It cannot be told exactly how gradients are spread; the text says why and what to do."""


class Sharing:
    """Whole layers on every rank: one process, DDP, or a training that reduces gradients by itself.

    mesh: dimensions, slowest first. coords: this rank's place in it. reduced_ranks: who publishes the reduced
    gradient, ascending; None: all ranks. local_ranks: likewise of the local one. stage: of the pipeline, None without
    one. sharded: ranks hold slices, whose sizes go with every record. notes: what cannot be published, and why.
    """

    framework = "none"

    def __init__(self, rank: int, world_size: int) -> None:
        self.mesh: Tuple[MeshAxis, ...] = () if world_size == 1 else (MeshAxis("dp_replicate", world_size),)
        self.coords: Tuple[int, ...] = () if world_size == 1 else (rank,)
        self.reduced_ranks: Optional[Tuple[int, ...]] = None if world_size == 1 else (0,)
        self.local_ranks: Optional[Tuple[int, ...]] = None
        self.stage: Optional[int] = None
        self.sharded = False
        self.notes: List[str] = []

    def prefix(self) -> str:
        """What makes names unique over the stages of a pipeline, where the user gives no names."""
        return "" if self.stage is None else f"pp{self.stage}."

    def keep(self, held: Sequence[Held]) -> List[Held]:
        """The layers that this rank speaks of."""
        return list(held)

    def placement(self, held: Held) -> Tuple[str, ...]:
        return (REPLICATE,) * len(self.mesh)

    def gradients(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        """The slices of the reduced gradient; None where there is none."""
        return [one.parameter.grad for one in held]

    def weights(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        """The slices of the weights that belong to them."""
        return [one.parameter for one in held]

    def loss_scale(self) -> Optional[float]:
        """What the framework itself multiplies gradients by, if it says so without waiting for a device."""
        return None


class Replicated(Sharing):
    """DDP; ``ddp`` is the module whose hook shows the local gradients, None without."""

    framework = "DDP"

    def __init__(self, rank: int, world_size: int, ddp: Any) -> None:
        super().__init__(rank, world_size)
        self.ddp = ddp
        ranks = _group_ranks(getattr(ddp, "process_group", None), world_size)
        if ranks != list(range(world_size)):
            raise Unclear(
                f"DDP reduces over {len(ranks)} of {world_size} ranks; expected all of them, or "
                f"mesh= with the device mesh of the whole training"
            )


class Meshed(Sharing):
    """Distributed tensors: FSDP2, HSDP, tensor parallelism, and what of them is combined with DDP.

    A parameter's mesh is matched with the dimensions of the training's mesh by the ranks along it, whatever the names.
    """

    framework = "DTensor"

    def __init__(self, rank: int, world_size: int, held: Sequence[Held], root: Any, ddp: Any = None) -> None:
        super().__init__(rank, world_size)
        self.ddp = ddp
        self._root = root
        ranks = _ranks(root)
        if sorted(ranks.reshape(-1).tolist()) != list(range(world_size)):
            raise Unclear(
                f"the device mesh {tuple(ranks.shape)} has not each of the {world_size} ranks once; "
                "give mesh= with the one of the whole training"
            )
        place = (ranks == rank).nonzero()[0].tolist()
        self._lines = _lines(ranks, place)
        self._matched: Dict[int, Tuple[Tuple[int, ...], ...]] = {}
        self.coords = tuple(place)
        placements = [self._placement(one) for one in held]
        sharded = [any(p[axis] == SHARD for p in placements) for axis in range(ranks.dim())]
        names = getattr(root, "mesh_dim_names", None) or (None,) * ranks.dim()
        self.mesh = tuple(
            MeshAxis(_axis_name(name, sharded[axis]), int(ranks.shape[axis])) for axis, name in enumerate(names)
        )
        self.sharded = any(sharded)
        members = ranks
        for axis, dimension in enumerate(self.mesh):
            if dimension.name == "pp":
                self.stage = place[axis]
                members = members.narrow(axis, place[axis], 1)
        self.local_ranks = _ascending(members, world_size)
        for axis, dimension in enumerate(self.mesh):
            # Copies of one and the same gradient: one is enough where the framework does not shard.
            if ddp is not None and dimension.name.startswith("dp") and not sharded[axis]:
                members = members.narrow(axis, 0, 1)
        self.reduced_ranks = _ascending(members, world_size)

    def placement(self, held: Held) -> Tuple[str, ...]:
        return self._placement(held)

    def gradients(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        found: List[Optional[torch.Tensor]] = []
        for one in held:
            gradient: Any = one.parameter.grad
            local = getattr(gradient, "_local_tensor", None)
            if local is None:
                found.append(gradient)
            elif _same_placements(gradient, one.parameter):
                found.append(local)
            else:
                # Summands, or cut otherwise than the manifest says.
                found.append(None)
        return found

    def weights(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        return [getattr(one.parameter, "_local_tensor", one.parameter) for one in held]

    def _placement(self, held: Held) -> Tuple[str, ...]:
        placement = [REPLICATE] * len(self.coords)
        mesh = getattr(held.parameter, "device_mesh", None)
        if mesh is None:
            return tuple(placement)
        parameter: Any = held.parameter
        for dimension, axes in zip(parameter.placements, self._axes(mesh)):
            for axis in axes:
                placement[axis] = _word(dimension)
        return tuple(placement)

    def _axes(self, mesh: Any) -> Tuple[Tuple[int, ...], ...]:
        """Per dimension of a parameter's mesh, which dimensions of the training's mesh it is made of."""
        known = self._matched.get(id(mesh))
        if known is None:
            ranks = _ranks(mesh)
            place = mesh.get_coordinate()
            if place is None:
                raise Unclear("this rank is not in the device mesh of one of its parameters")
            found = []
            for axis in range(ranks.dim()):
                line = frozenset(_line(ranks, place, (axis,)))
                axes = self._lines.get(line)
                if axes is None and len(line) > 1:
                    raise Unclear(
                        f"a parameter is spread over the ranks {sorted(line)[:8]}, which are no dimension of the "
                        f"device mesh {tuple(_ranks(self._root).shape)}; give mesh= with the one of the whole training"
                    )
                found.append(axes or ())
            known = self._matched[id(mesh)] = tuple(found)
        return known


class Flat(Sharing):
    """FSDP's first version, with or without original parameters."""

    framework = "FSDP"

    def __init__(self, rank: int, world_size: int, model: torch.nn.Module) -> None:
        super().__init__(rank, world_size)
        shards, inner = set(), None
        self._sharded: Dict[int, bool] = {}
        for handle in flat_handles(model):
            is_sharded = bool(getattr(handle, "uses_sharded_strategy", True))
            group = getattr(handle, "process_group", None)
            size = len(_group_ranks(group, world_size)) if is_sharded else 1
            if is_sharded:
                shards.add(size)
                inner = group
            flat = handle.flat_param
            self._sharded[id(flat)] = is_sharded
            for parameter in getattr(flat, "_params", None) or ():
                self._sharded[id(parameter)] = is_sharded
        if len(shards) > 1:
            raise Unclear(f"FSDP shards over groups of {sorted(shards)} ranks; expected groups of one size")
        size = shards.pop() if shards else 1
        if size > 1:
            first = rank - rank % size
            if world_size % size or _group_ranks(inner, world_size) != list(range(first, first + size)):
                raise Unclear(
                    f"FSDP shards over the ranks {_group_ranks(inner, world_size)[:8]}; expected {size} neighbours"
                )
            self.sharded = True
            self.reduced_ranks = None
            outer = world_size // size
            self.mesh = (MeshAxis("dp_shard", size),)
            self.coords = (rank % size,)
            if outer > 1:
                self.mesh = (MeshAxis("dp_replicate", outer),) + self.mesh
                self.coords = (rank // size,) + self.coords
            self._bounds = rank % size

    def keep(self, held: Sequence[Held]) -> List[Held]:
        kept = [one for one in held if id(one.parameter) in self._sharded]
        if len(kept) < len(held):
            self.notes.append(
                f"{len(held) - len(kept)} parameters are not FSDP's and not reduced by it: they are left out"
            )
        return kept

    def placement(self, held: Held) -> Tuple[str, ...]:
        last = SHARD if self._sharded[id(held.parameter)] and self.sharded else REPLICATE
        return (REPLICATE,) * (len(self.mesh) - 1) + ((last,) if self.mesh else ())

    def gradients(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        return [one.parameter.grad if one.first is None else self._cut(one, one.parameter.grad) for one in held]

    def weights(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        return [one.parameter if one.first is None else self._cut(one, one.parameter) for one in held]

    def _cut(self, held: Held, flat: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        """What this rank's slice of the flat tensor has of the layer; None if nothing."""
        if flat is None:
            return None
        assert held.first is not None and held.last is not None
        flat = flat.detach().reshape(-1)
        begin = self._bounds * flat.numel() if self._sharded[id(held.parameter)] and self.sharded else 0
        first, last = max(held.first - begin, 0), min(held.last - begin, flat.numel())
        return flat[first:last] if first < last else None


class Zero(Sharing):
    """DeepSpeed."""

    framework = "DeepSpeed"

    def __init__(self, rank: int, world_size: int, engine: Any) -> None:
        super().__init__(rank, world_size)
        self._engine = engine
        self._zero_stage = int(engine.zero_optimization_stage())
        group = getattr(engine, "data_parallel_group", None) or getattr(engine, "seq_data_parallel_group", None)
        if len(_group_ranks(group, world_size)) != world_size:
            raise Unclear(
                f"DeepSpeed reduces over {len(_group_ranks(group, world_size))} of {world_size} ranks; only data "
                "parallelism over all of them is understood"
            )
        if self._zero_stage > 0:
            self.sharded = True
            self.reduced_ranks = None
            self.mesh = (MeshAxis("dp_shard", world_size),) if world_size > 1 else ()
        self._rank = rank
        self._world_size = world_size

    def placement(self, held: Held) -> Tuple[str, ...]:
        return (SHARD if self.sharded else REPLICATE,) * len(self.mesh)

    def gradients(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        if self._zero_stage == 0:
            return super().gradients(held)
        if self._zero_stage == 3:
            # What deepspeed.utils.safe_get_local_grad calls.
            return [self._own(one, _local_gradient(one.parameter)) for one in held]
        return [_fragment(one.parameter) for one in held]

    def weights(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        if self._zero_stage == 0:
            return super().weights(held)
        if self._zero_stage == 3:
            return [self._own(one, getattr(one.parameter, "ds_tensor", None)) for one in held]
        found: List[Optional[torch.Tensor]] = []
        for one in held:
            address = getattr(getattr(one.parameter, "_hp_mapping", None), "lp_fragment_address", None)
            if address is None:
                found.append(None)
            else:
                found.append(one.parameter.detach().reshape(-1).narrow(0, address.start, address.numel))
        return found

    def loss_scale(self) -> Optional[float]:
        scale = getattr(getattr(self._engine, "optimizer", None), "loss_scale", None)
        return float(scale) if isinstance(scale, (int, float)) else None

    def _own(self, held: Held, partition: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        """Without the padding that makes partitions equal."""
        if partition is None:
            return None
        flat = partition.detach().reshape(-1)
        size = -(-held.elements // self._world_size)
        own = max(0, min(size, held.elements - self._rank * size))
        return flat[:own] if own else None


def _local_gradient(parameter: Any) -> Optional[torch.Tensor]:
    """Of DeepSpeed's stage 3: what deepspeed.utils.safe_get_local_grad returns."""
    if not parameter.requires_grad or not hasattr(parameter, "_z3_optimizer"):
        return None
    return parameter._z3_optimizer.get_local_fp32_grad_for_param(parameter)  # type: ignore[no-any-return]


def _fragment(parameter: Any) -> Optional[torch.Tensor]:
    """What a partition of DeepSpeed's stages 1 and 2 has of a parameter's averaged gradient."""
    mapping = getattr(parameter, "_hp_mapping", None)
    if mapping is None:
        return None
    offloaded = getattr(mapping, "use_offload", False)
    gradients = mapping.offload_gradient_dict if offloaded else mapping.gradient_dict
    group = gradients.get(mapping.param_group_index)
    if group is None:
        return None
    fragment = group[parameter._index_in_param_group]
    if fragment is None:
        return None
    flat, address = fragment.detach().reshape(-1), mapping.lp_fragment_address
    if flat.numel() == address.numel:
        return flat  # type: ignore[no-any-return]
    # DeepSpeed's own bfloat16 optimiser keeps the whole gradient on every rank.
    return flat.narrow(0, address.start, address.numel) if flat.numel() == parameter.numel() else None


class Megatron(Sharing):
    """Megatron's own data parallelism with tensor and pipeline parallelism; gradients are in ``main_grad``."""

    framework = "Megatron"

    def __init__(self, rank: int, world_size: int, model: Any, state: Any) -> None:
        super().__init__(rank, world_size)
        settings = getattr(model, "ddp_config", None)
        if getattr(settings, "use_distributed_optimizer", False):
            raise Unclear(
                "with Megatron's distributed optimizer a rank's main_grad is reduced in part only; "
                "train without it, or without gradflow"
            )
        if getattr(state, "get_expert_model_parallel_world_size", lambda: 1)() > 1:
            raise Unclear("Megatron's expert parallelism gives different experts the same names; expected a size of 1")
        places = {
            "pp": (state.get_pipeline_model_parallel_world_size(), state.get_pipeline_model_parallel_rank()),
            "dp_replicate": (state.get_data_parallel_world_size(), state.get_data_parallel_rank()),
            "cp": (
                getattr(state, "get_context_parallel_world_size", lambda: 1)(),
                getattr(state, "get_context_parallel_rank", lambda: 0)(),
            ),
            "tp": (state.get_tensor_model_parallel_world_size(), state.get_tensor_model_parallel_rank()),
        }
        expected = 0
        for size, place in places.values():
            expected = expected * size + place
        if expected != rank:
            raise Unclear(
                f"Megatron's ranks are not in its default order (tp-cp-ep-dp-pp): expected {expected}, got {rank}"
            )
        used = {name: place for name, place in places.items() if place[0] > 1}
        self.mesh = tuple(MeshAxis(name, size) for name, (size, _) in used.items())
        self.coords = tuple(place for _, place in used.values())
        self._tensor_parallel = places["tp"][0]
        self.sharded = self._tensor_parallel > 1
        if "pp" in used:
            self.stage = places["pp"][1]
        tp, cp, dp = places["tp"][0], places["cp"][0], places["dp_replicate"][0]
        begin = places["pp"][1] * dp * cp * tp
        self.local_ranks = None if "pp" not in used else tuple(range(begin, begin + dp * cp * tp))
        self.reduced_ranks = None if tp == world_size else tuple(range(begin, begin + tp))

    def keep(self, held: Sequence[Held]) -> List[Held]:
        # The last stage holds a copy of the first one's embedding.
        kept = [one for one in held if self.stage in (None, 0) or not _is_shared(one.parameter)]
        for one in kept:
            if getattr(one.parameter, "tensor_model_parallel", False):
                one.elements = one.parameter.numel() * self._tensor_parallel
        return kept

    def placement(self, held: Held) -> Tuple[str, ...]:
        split = getattr(held.parameter, "tensor_model_parallel", False)
        return tuple(SHARD if axis.name == "tp" and split else REPLICATE for axis in self.mesh)

    def gradients(self, held: Sequence[Held]) -> List[Optional[torch.Tensor]]:
        return [getattr(one.parameter, "main_grad", one.parameter.grad) for one in held]


def _is_shared(parameter: Any) -> bool:
    return bool(getattr(parameter, "shared_embedding", False) or getattr(parameter, "shared", False))


def recognised(model: torch.nn.Module, held: Sequence[Held], rank: int, world_size: int, mesh: Any = None) -> Sharing:
    """How this model's gradients are spread. Raises Unclear where that cannot be told exactly.

    mesh: torch's DeviceMesh of the whole training, where parameters do not say it.
    """
    ddp = wrapped_in_ddp(model)
    if hasattr(model, "zero_optimization_stage"):
        return Zero(rank, world_size, model)
    if any(True for _ in flat_handles(model)):
        return Flat(rank, world_size, model)
    root = mesh if mesh is not None else _root(held, world_size)
    if root is not None:
        return Meshed(rank, world_size, held, root, ddp)
    if any(hasattr(one.parameter, "main_grad") for one in held):
        state = sys.modules.get("megatron.core.parallel_state")
        if state is not None:
            return Megatron(rank, world_size, model, state)
    if ddp is not None:
        return Replicated(rank, world_size, ddp)
    sharing = Sharing(rank, world_size)
    if world_size > 1:
        sharing.notes.append(
            "the model is in none of DDP, FSDP, DeepSpeed: its gradients are taken to be reduced over all "
            f"{world_size} ranks when before_step is called"
        )
    return sharing


def wrapped_in_ddp(model: torch.nn.Module) -> Any:
    """The DDP module, under ``torch.compile`` or not; None without."""
    try:
        from torch.nn.parallel import DistributedDataParallel
    except ImportError:  # A build without distributed training.
        return None
    inner: Any = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, DistributedDataParallel) else None


def process_place() -> Tuple[Optional[int], Optional[int]]:
    """Rank and world size of the process group; None where there is none."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return None, None


def _root(held: Iterable[Held], world_size: int) -> Any:
    """The mesh with most dimensions that has all ranks, among those of the parameters and those they were cut from."""
    roots: Dict[int, Any] = {}
    seen = set()
    for one in held:
        mesh = getattr(one.parameter, "device_mesh", None)
        if mesh is None or id(mesh) in seen:
            continue
        seen.add(id(mesh))
        for candidate in (mesh, _uncut(mesh)):
            roots[id(candidate)] = candidate
    if not roots:
        return None
    whole = [mesh for mesh in roots.values() if _ranks(mesh).numel() == world_size]
    if not whole:
        raise Unclear(
            f"no device mesh of a parameter has all {world_size} ranks; give mesh= with the one of the whole training"
        )
    return max(whole, key=lambda mesh: _ranks(mesh).dim())


def _uncut(mesh: Any) -> Any:
    if hasattr(mesh, "_get_root_mesh"):
        return mesh._get_root_mesh()
    try:
        from torch.distributed.device_mesh import _mesh_resources

        return _mesh_resources.get_root_mesh(mesh)
    except (ImportError, AttributeError):
        parent = getattr(mesh, "_parent_mesh", None)
        return mesh if parent is None else parent


def _ranks(mesh: Any) -> torch.Tensor:
    return mesh.mesh.detach().to("cpu")  # type: ignore[no-any-return]


def _line(ranks: torch.Tensor, place: Sequence[int], axes: Tuple[int, ...]) -> List[int]:
    """The ranks whose coordinates differ from ``place`` in these axes only."""
    return ranks[tuple(slice(None) if axis in axes else at for axis, at in enumerate(place))].reshape(-1).tolist()


def _lines(ranks: torch.Tensor, place: Sequence[int]) -> Dict[FrozenSet[int], Tuple[int, ...]]:
    lines: Dict[FrozenSet[int], Tuple[int, ...]] = {}
    axes = range(ranks.dim())
    for count in range(1, ranks.dim() + 1):
        for some in itertools.combinations(axes, count):
            # Dimensions of size 1 change nothing: the shortest description comes first.
            lines.setdefault(frozenset(_line(ranks, place, some)), some)
    return lines


def _ascending(ranks: torch.Tensor, world_size: int) -> Optional[Tuple[int, ...]]:
    members = tuple(sorted(ranks.reshape(-1).tolist()))
    return None if len(members) == world_size else members


def _axis_name(name: Optional[str], sharded: bool) -> str:
    return _AXES.get((name or "").lower(), "dp_shard" if sharded else "dp_replicate")


def _word(placement: Any) -> str:
    if placement.is_partial():
        return PARTIAL
    # A strided shard does not always say of itself that it is one.
    return REPLICATE if placement.is_replicate() else SHARD


def _same_placements(gradient: Any, parameter: Any) -> bool:
    if gradient.placements == parameter.placements:
        return True
    words = [_word(one) for one in gradient.placements]
    return gradient.device_mesh == parameter.device_mesh and words == [_word(one) for one in parameter.placements]


def _group_ranks(group: Any, world_size: int) -> List[int]:
    """The ranks of a process group, of all where it is None."""
    if group is None:
        return list(range(world_size))
    distributed = torch.distributed
    if hasattr(distributed, "get_process_group_ranks"):
        return sorted(distributed.get_process_group_ranks(group))
    size = distributed.get_world_size(group)
    if size == world_size:
        return list(range(world_size))
    to_global = distributed.distributed_c10d._get_global_rank
    return sorted(to_global(group, i) for i in range(size))
