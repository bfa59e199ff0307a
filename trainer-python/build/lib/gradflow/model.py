"""What a model is made of: its layers, in the order in which they are registered.

A layer is one parameter tensor under the name that the model itself gives it, without what wrappers put before it. Of
ranks that hold slices of a layer each says the same of it, so that all come to the same manifest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple

import torch

from gradflow.records import Layer

_WRAPPERS = ("module", "_fsdp_wrapped_module", "_orig_mod", "_checkpoint_wrapped_module")
_MAX_NAME = 500


@dataclass
class Held:
    """A layer as this rank holds it.

    elements: of the whole layer, over all ranks. first, last: the layer's place in ``parameter`` where that is one flat
    tensor of many layers (FSDP without original parameters); else None.
    """

    name: str
    module: torch.nn.Module
    path: str
    leaf: str
    parameter: torch.Tensor
    elements: int
    depth: int
    tied_to: Optional[str] = None
    first: Optional[int] = None
    last: Optional[int] = None


def layers_of(model: torch.nn.Module, rename: Optional[Callable[[str], str]] = None) -> List[Held]:
    """The model's parameter tensors; one that is registered again is listed again, as tied to the first.

    rename: makes names unique over pipeline stages.
    """
    found: List[Held] = []
    owners: Dict[int, str] = {}
    names: Dict[str, int] = {}
    wholes = _whole_sizes(model)
    depth = -1
    for path, module in model.named_modules():
        entries = list(_entries(path, module, wholes))
        depth += 1 if entries else 0
        for held in entries:
            held.depth = depth
            if rename is not None:
                held.name = rename(held.name)
            held.name = _unique(held.name[-_MAX_NAME:], names)
            identity = id(held.parameter) if held.first is None else id(held.parameter) * 31 + held.first
            held.tied_to = owners.get(identity)
            owners.setdefault(identity, held.name)
            found.append(held)
    return found


def plain_name(name: str) -> str:
    """The name without what DDP, FSDP, ``torch.compile`` and activation checkpointing put into it."""
    return ".".join(part for i, part in enumerate(name.split(".")) if not _is_wrapper(part, i))


def _is_wrapper(part: str, position: int) -> bool:
    # A model may well have a module named "module" of its own; wrappers put theirs first.
    return part in _WRAPPERS if part != "module" else position == 0


def _unique(name: str, names: Dict[str, int]) -> str:
    seen = names.get(name, 0)
    names[name] = seen + 1
    return name if seen == 0 else _unique(f"{name}~{seen + 1}"[-_MAX_NAME:], names)


def _whole_sizes(model: torch.nn.Module) -> Dict[int, int]:
    """Parameters of FSDP with original parameters, of which a rank sees its slice → elements of the whole."""
    sizes: Dict[int, int] = {}
    for flat in flat_parameters(model):
        for parameter, elements in zip(getattr(flat, "_params", None) or (), flat._numels):
            sizes[id(parameter)] = int(elements)
    return sizes


def flat_parameters(model: torch.nn.Module) -> Iterator[Any]:
    """The flat parameters of FSDP's first version."""
    for handle in flat_handles(model):
        yield handle.flat_param


def flat_handles(model: torch.nn.Module) -> Iterator[Any]:
    for module in model.modules():
        handle = module.__dict__.get("_handle")
        handles = module.__dict__.get("_handles") or ([] if handle is None else [handle])
        for one in handles:
            if hasattr(getattr(one, "flat_param", None), "_numels"):
                yield one


def _entries(path: str, module: torch.nn.Module, wholes: Dict[int, int]) -> Iterator[Held]:
    for leaf, parameter in module._parameters.items():
        if parameter is None:
            continue
        name = plain_name(f"{path}.{leaf}" if path else leaf)
        if hasattr(parameter, "_numels") and hasattr(parameter, "_fqns"):
            yield from _flattened(name.rpartition(".")[0], parameter)
            continue
        elements = wholes.get(id(parameter), getattr(parameter, "ds_numel", None) or parameter.numel())
        yield Held(name, module, plain_name(path), leaf, parameter, int(elements), 0)


def _flattened(prefix: str, flat: Any) -> Iterator[Held]:
    """The layers of a flat parameter, in which alignment may have left gaps."""
    begin = 0
    padding = getattr(flat, "_is_padding_mask", None)
    sizes = getattr(flat, "_numels_with_padding", None) or flat._numels
    gaps = padding or [False] * len(sizes)
    infos = iter(zip(flat._fqns, flat._param_infos))
    for elements, is_gap in zip(sizes, gaps):
        if not is_gap:
            fqn, info = next(infos)
            name = plain_name(f"{prefix}.{fqn}" if prefix else fqn)
            path = name.rpartition(".")[0]
            yield Held(
                name, info.module, path, info.param_name, flat, int(elements), 0, first=begin, last=begin + int(elements)
            )
        begin += int(elements)


def described(
    held: Sequence[Held], placements: Sequence[Tuple[str, ...]], zero_init: FrozenSet[int]
) -> Tuple[Layer, ...]:
    """The layers of a manifest. zero_init: indices of those that are zero before the first step."""
    experts = _with_experts(held)
    tied_outputs = {id(one.parameter) for one in held if one.tied_to is not None and not _is_embedding(one.module)}
    return tuple(
        Layer(
            name=one.name,
            elements=one.elements,
            block=_block(one),
            depth=one.depth,
            kind=_kind(one, experts),
            dtype=dtype_name(one.parameter.dtype),
            trainable=bool(one.parameter.requires_grad),
            # As an output too, all its rows get a gradient.
            sparse=_is_embedding(one.module) and id(one.parameter) not in tied_outputs,
            zero_init=i in zero_init,
            tied_to=one.tied_to,
            placement=placements[i],
        )
        for i, one in enumerate(held)
    )


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).rpartition(".")[2]


def _block(one: Held) -> Optional[str]:
    parts = one.path.split(".") if one.path else []
    for i, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: i + 1])
    return one.path or None


def _with_experts(held: Sequence[Held]) -> FrozenSet[str]:
    """Paths of modules that have experts below them: a gate beside experts is a router."""
    paths = set()
    for one in held:
        parts = one.path.split(".")
        for i, part in enumerate(parts):
            if _EXPERT.fullmatch(part):
                paths.add(".".join(parts[:i]))
    return frozenset(paths)


_EXPERT = re.compile(r"(local_|routed_|shared_)?experts?(_?\d+)?", re.IGNORECASE)
_ROUTER = re.compile(r".*router.*", re.IGNORECASE)
_GATE = re.compile(r"(.*_)?(gate|gating|gate_network|wg)", re.IGNORECASE)
_ADAPTER = re.compile(r"lora_.*|.*_lora|adapters?|.*_adapter|adapter_.*|ia3_.*|prompt_embeddings", re.IGNORECASE)


def _kind(one: Held, with_experts: FrozenSet[str]) -> str:
    parts = one.name.split(".")
    if any(_ADAPTER.fullmatch(part) for part in parts):
        return "ADAPTER"
    for i, part in enumerate(parts[:-1]):
        if _ROUTER.fullmatch(part) or (_GATE.fullmatch(part) and ".".join(parts[:i]) in with_experts):
            return "ROUTER"
    if any(_EXPERT.fullmatch(part) for part in parts[:-1]):
        return "EXPERT"
    if "norm" in type(one.module).__name__.lower():
        return "NORM"
    if _is_embedding(one.module):
        return "EMBEDDING"
    if one.leaf.startswith("bias") or one.leaf.endswith("bias"):
        return "BIAS"
    if "weight" in one.leaf or one.parameter.dim() >= 2:
        return "WEIGHT"
    return "OTHER"


def _is_embedding(module: torch.nn.Module) -> bool:
    return isinstance(module, (torch.nn.Embedding, torch.nn.EmbeddingBag)) or "embedding" in type(module).__name__.lower()
