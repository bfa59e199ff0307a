"""The gradient of each rank before DDP's reduction: its communication hook is the only place that shows it."""

from __future__ import annotations

from typing import Any, Callable, Dict, Hashable, List, Optional, Sequence, Tuple

import numpy as np
import torch

from gradflow.measuring import Meter, Started

Hook = Callable[[Any, Any], Any]


class LocalGradients:
    """Measures buckets on their way into the reduction; how they are reduced stays as it is.

    The hook that the user has, given here or registered later, is called with the same bucket; without one the bucket
    is averaged as DDP itself would, by the same operations, so that a training ends with the same bits. (Not so, in the
    last bit, of world sizes that are no power of two together with ``gradient_as_bucket_view`` and
    ``zero_grad(set_to_none=False)``: there DDP divides where it else multiplies.)

    Buckets are made anew after the first step: what is measured is kept by parameter.
    """

    def __init__(
        self,
        ddp: Any,
        places: Dict[int, int],
        meter: Meter,
        is_due: Callable[[], bool],
        complain: Callable[[str, BaseException], None],
    ) -> None:
        """places: id of a parameter → its layer. is_due: whether this step is published."""
        self._ddp = ddp
        self._places = places
        self._meter = meter
        self._is_due = is_due
        self._complain = complain
        self._inner: Optional[Tuple[Any, Hook]] = None
        self._started: Dict[Hashable, Tuple[np.ndarray, Started]] = {}
        self._repeated = False

    def install(self, hook: Optional[Tuple[Any, Hook]] = None) -> Optional[str]:
        """Registers with DDP; what hinders it, None if nothing does. hook: the user's own, with its state."""
        self._inner = hook
        if getattr(self._ddp, "_comm_hooks", None):
            return "DDP has a communication hook already: give it as comm_hook=(state, hook) instead of registering it"
        try:
            self._ddp.register_comm_hook(None, _disabled_for_dynamo(self._hook))
        except Exception as e:
            return f"DDP takes no communication hook: {e}"
        # DDP takes only one: what the user registers from now on is called by this one.
        self._ddp.register_comm_hook = self._register_comm_hook
        self._ddp._register_builtin_comm_hook = self._register_builtin_comm_hook
        return None

    def take(self) -> List[Tuple[np.ndarray, Started]]:
        """What has been measured since the last call: layers, and their measurement."""
        taken = list(self._started.values())
        self._started = {}
        self._repeated = False
        return taken

    @property
    def repeated(self) -> bool:
        """Whether gradients were reduced more than once since the last `take`."""
        return self._repeated

    def _register_comm_hook(self, state: Any, hook: Hook) -> None:
        if self._inner is not None:
            raise RuntimeError("register_comm_hook or register_builtin_comm_hook can only be called once.")
        self._inner = (state, hook)

    def _register_builtin_comm_hook(self, comm_hook_type: Any) -> None:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

        halved = str(comm_hook_type).rpartition(".")[2] == "FP16_COMPRESS"
        hook = default_hooks.fp16_compress_hook if halved else default_hooks.allreduce_hook
        self._register_comm_hook(self._ddp.process_group, hook)

    def _hook(self, _: Any, bucket: Any) -> Any:
        try:
            if self._is_due():
                self._measure(bucket)
        except Exception as e:
            self._meter.forget()
            self._complain("a bucket of local gradients is not measured", e)
        if self._inner is not None:
            state, hook = self._inner
            return hook(state, bucket)
        return _averaged(bucket.buffer(), self._ddp.process_group)

    def _measure(self, bucket: Any) -> None:
        if bucket.buffer().layout != torch.strided:
            return
        parameters: Sequence[torch.Tensor] = bucket.parameters()
        key = ("bucket",) + tuple([self._places.get(id(one), -1) for one in parameters])
        if key in self._started:
            self._repeated = True
        layers = np.array(key[1:])
        gradients: Sequence[torch.Tensor] = bucket.gradients()
        if (layers < 0).any():
            gradients = [one for one, layer in zip(gradients, layers) if layer >= 0]
            layers = layers[layers >= 0]
        if layers.size:
            self._started[key] = (layers, self._meter.start(key, gradients))


def _averaged(bucket: torch.Tensor, group: Any) -> Any:
    """As DDP does without a hook."""
    size = group.size()
    if bucket.layout == torch.strided:
        bucket.mul_(1.0 / size)
    else:
        bucket.div_(size)
    work = torch.distributed.all_reduce(bucket, group=group, async_op=True)
    return work.get_future().then(lambda future: future.value()[0])


def _disabled_for_dynamo(function: Callable[..., Any]) -> Callable[..., Any]:
    """Not to be traced by ``torch.compile``."""
    disable = getattr(torch, "_disable_dynamo", None)
    return disable(function) if disable is not None else function


