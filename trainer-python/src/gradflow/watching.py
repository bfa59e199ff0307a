"""One rank's training, watched."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import weakref
from dataclasses import replace
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Hashable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

import numpy as np
import torch

from gradflow import frameworks
from gradflow.complaints import LOG, Complaints
from gradflow.local import Hook, LocalGradients
from gradflow.measuring import (
    HISTOGRAM,
    MAX_ABS,
    MIN_NONZERO,
    MOMENTS,
    NANS,
    NEG_INFS,
    NORM_ONLY,
    POS_INFS,
    SQUARES,
    SUBNORMALS,
    SUM,
    SUM_ABS,
    ZEROS,
    Measured,
    Meter,
    Started,
)
from gradflow.meeting import Meeting, Word, store_of_all
from gradflow.model import Held, described, dtype_name, layers_of
from gradflow.options import Options
from gradflow.publisher import Publisher
from gradflow.records import LOCAL, REDUCED, Columns, Manifest, Reporting, Shard

Number = Union[float, torch.Tensor, None]
_Method = TypeVar("_Method", bound=Callable[..., Any])

_NOT_MEASURED = ("sketch", "hash", "dots")
_COLUMNS_OF = {
    "moments": ("zeros", "sumAbs", "sum", "subnormals", "minNonzeroAbs"),
    "weights": ("weightNorm", "updateNorm"),
    "histogram": ("histogramOffsets", "histogramBins", "histogramCounts"),
}


def watch(
    model: torch.nn.Module,
    *,
    optimizer: Optional[torch.optim.Optimizer] = None,
    max_norm: Optional[float] = None,
    first_step: int = 0,
    layer_name: Optional[Callable[[str], str]] = None,
    mesh: Any = None,
    comm_hook: Optional[Tuple[Any, Hook]] = None,
    publisher: Optional[Callable[[Options], Any]] = None,
    environ: Mapping[str, str] = os.environ,
    **options: Any,
) -> Watch:
    """Begins to watch a model's gradients. To be called by all ranks, after the model is wrapped (DDP, FSDP, ...).

    optimizer: whose learning rates are published. max_norm: the limit that `Watch.after_clip` is about.
    first_step: of this attempt; that of the checkpoint a training goes on from. layer_name: makes layers' names unique
    over the stages of a pipeline. mesh: torch's DeviceMesh of the whole training, where parameters do not say it.
    comm_hook: (state, hook) for DDP, which takes only one hook. publisher: makes a `gradflow.publisher.Publisher` of
    the options.

    options: those of `gradflow.options.Options`, e.g. run, bootstrap_servers, stream, every, signals, enabled. Those
    not given here are read from ``GRADFLOW_*``. Rank and world size are those of the process group. All ranks need
    one ``attempt``: rank 0 decides it and tells the others through the store the process group was made with.

    Raises ValueError or TypeError of options that are wrong, saying which; nothing else, and nothing later: what cannot
    be watched is said in the log.
    """
    rank, world_size = frameworks.process_place()
    given = {name: value for name, value in options.items() if value is not None}
    if rank is not None:
        given.setdefault("rank", rank)
        given.setdefault("world_size", world_size)
    decided = "attempt" in given or bool(environ.get("GRADFLOW_ATTEMPT", "").strip())
    if not decided:
        given["attempt"] = 0
    settings = Options.from_environment(environ, **given)
    watching = Watch(settings, optimizer, max_norm, first_step)
    if settings.enabled:
        watching._begin(model, decided, layer_name, mesh, comm_hook, publisher or Publisher, environ)
    return watching


def _harmless(method: _Method) -> _Method:
    """What goes wrong inside is said in the log: a training does not die of being watched."""

    @functools.wraps(method)
    def harmless(self: Watch, *args: Any, **kwargs: Any) -> Any:
        if not self.enabled:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as e:
            self._complaints.about(f"{method.__name__} has failed", e)
            return None

    return harmless  # type: ignore[return-value]


class Watch:
    """Publishes what `watch` says of each step. Made by `watch`.

    Guarantees: nothing here raises, waits for Kafka or for a device, or changes a gradient; `close` waits, for two
    seconds at most. Assumes one training thread.
    """

    def __init__(
        self, options: Options, optimizer: Any = None, max_norm: Optional[float] = None, first_step: int = 0
    ) -> None:
        self.options = options
        #: False: every call does nothing.
        self.enabled = False
        self._optimizer = optimizer
        self._max_norm = max_norm
        self._next = first_step
        self._last = -1
        self._complaints = Complaints(_who(options))
        self._said: Set[str] = set()
        self._meter = Meter()
        self._publisher: Any = None
        self._local: Optional[LocalGradients] = None
        self._pending: Optional[_Report] = None
        # Whether after_clip follows before_step: None before the first step has shown it.
        self._clips: Optional[bool] = None

    @property
    def step(self) -> int:
        """The number of the next step."""
        return self._next

    @_harmless
    def before_step(
        self,
        loss: Number = None,
        scaler: Any = None,
        *,
        weight: float = 1.0,
        validation_loss: Number = None,
        reported_norm: Number = None,
        max_norm: Optional[float] = None,
        clip_mode: str = "norm",
        clip_applied: bool = False,
        batch_ids: Optional[Sequence[str]] = None,
    ) -> None:
        """Publishes the gradient of a step: after ``backward`` of its last micro-batch and before clipping.

        loss: of this rank's batch. scaler: the GradScaler, if there is one; gradients may be unscaled or not.
        weight: samples or tokens of this rank in the step. reported_norm: the trainer's own global norm, before
        clipping. max_norm: the limit that gradients are clipped at, by their global norm unless clip_mode says another
        word. clip_applied: they are clipped already, which hides explosions unless reported_norm says how much.

        Numbers may be tensors on a device: they are not waited for.
        """
        self._flush()
        step = self._next
        self._next += 1
        if self._local is not None and self._local.repeated:
            self._say("gradients are reduced several times a step; only the last local ones are published: use no_sync")
        local = [] if self._local is None else self._local.take()
        if step % self.options.every != 0:
            return
        try:
            report = self._measured(
                step, local, scaler, {"loss": loss, "validation": validation_loss, "norm": reported_norm}
            )
        except Exception:
            self._meter.forget()
            for _ in self._stages:
                self._publisher.offer(_unmeasured)
            self._last = step
            raise
        report.weight = weight
        report.batch_ids = None if batch_ids is None else [str(one) for one in batch_ids]
        report.clip_limit = self._max_norm if max_norm is None else max_norm
        report.clip_applied = clip_applied
        report.clip_mode = clip_mode
        report.clips = (
            clip_applied or max_norm is not None or (reported_norm is not None and self._max_norm is not None)
        )
        self._last = step
        if report.clips or reported_norm is not None or self._clips is False:
            self._offer(report)
        else:
            self._pending = report

    @_harmless
    def after_clip(self, total_norm: Number = None, max_norm: Optional[float] = None, mode: str = "norm") -> None:
        """Says what ``clip_grad_norm_`` returned: after it, and before the optimiser's step.

        total_norm: the global norm before clipping. max_norm: the limit, if it is not that given to `watch`.
        """
        self._clips = True
        report, self._pending = self._pending, None
        if report is None:
            return
        report.clips = True
        report.clip_mode = mode
        report.clip_limit = self._max_norm if max_norm is None else max_norm
        norm = self._number(total_norm)
        if norm is not None:
            report.late_norm = self._meter.read([], [norm])
        self._offer(report)

    @_harmless
    def event(self, type: str, step: Optional[int] = None, **attributes: Any) -> None:
        """Publishes that something happened: EVAL, CHECKPOINT, CHANGED, PAUSED or RESUMED. Rank 0 speaks for the run.

        step: after which; the last one, unless said. attributes: details, e.g. ``learningRate=0.1``.
        """
        self._flush()
        if self.options.rank == 0:
            at = self._last if step is None else step
            self._publisher.event(type, at, **{name: str(value) for name, value in attributes.items()})

    @_harmless
    def checkpoint(self, step: Optional[int] = None, **attributes: Any) -> None:
        """Publishes that a checkpoint holds the run as it is after ``step``, the last one unless said."""
        at = self._last if step is None else step
        self.event("CHECKPOINT", at, checkpoint=at, **attributes)

    def stats(self) -> Any:
        """What became of everything handed over, as `Publisher.stats` says; None if nothing is watched."""
        return None if self._publisher is None else self._publisher.stats()

    def close(self, finished: bool = False, timeout: float = 2.0) -> None:
        """Sends what waits, within ``timeout`` seconds. A second call does nothing.

        finished: the training has come to its end. Without it the run counts as one that has stopped for no reason.
        """
        self._close(finished, timeout)
        self.enabled = False

    @_harmless
    def _close(self, finished: bool, timeout: float) -> None:
        self._flush()
        if finished:
            self.event("FINISHED")
        self._publisher.close(timeout)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self.close(finished=kind is None)

    # How it begins.

    def _begin(
        self,
        model: torch.nn.Module,
        decided: bool,
        layer_name: Optional[Callable[[str], str]],
        mesh: Any,
        comm_hook: Optional[Tuple[Any, Hook]],
        publisher: Callable[[Options], Any],
        environ: Mapping[str, str],
    ) -> None:
        meeting = None
        try:
            store = store_of_all(environ) if self.options.world_size > 1 else None
            meeting = Meeting(self.options.run, self.options.stream, self.options.rank, store, environ)
            self._meet(meeting, decided, model, layer_name, mesh, comm_hook, publisher)
            self.enabled = True
            _close_at_exit(self)
        except Exception as e:
            LOG.warning("%s: nothing is watched: %s", self._complaints._who, e)
            LOG.debug("%s", self._complaints._who, exc_info=e)
            if meeting is not None and self.options.rank == 0:
                # The others need not wait for it.
                meeting.tell(None)

    def _meet(
        self,
        meeting: Meeting,
        decided: bool,
        model: torch.nn.Module,
        layer_name: Optional[Callable[[str], str]],
        mesh: Any,
        comm_hook: Optional[Tuple[Any, Hook]],
        publisher: Callable[[Options], Any],
    ) -> None:
        rank, world_size = self.options.rank, self.options.world_size
        held = layers_of(model)
        self._sharing = frameworks.recognised(model, held, rank, world_size, mesh)
        held = self._sharing.keep(held)
        rename = layer_name or (lambda name: self._sharing.prefix() + name)
        for one in held:
            one.name = rename(one.name)
        for one in held:
            one.tied_to = None if one.tied_to is None else rename(one.tied_to)
        if not held:
            raise ValueError("expected a model with parameters, got none")
        for note in self._sharing.notes:
            self._say(note)
        for group in _NOT_MEASURED:
            if group in self.options.signals.every:
                self._say(f"signals of the group {group} are not measured by this client")
        self._held = held
        self._own = [i for i, one in enumerate(held) if one.tied_to is None]
        self._tracked = [held[i] for i in self._own]
        self._own_places = np.array(self._own)
        self._sparse = {k for k, one in enumerate(self._tracked) if getattr(one.module, "sparse", False)}
        self._selected: Dict[Hashable, Tuple[np.ndarray, Optional[np.ndarray]]] = {}
        self._local = self._hooked(model, comm_hook)
        told = self._agree(meeting, decided)
        zeros = frozenset(i for i in range(len(held)) if int(told.zeros or "0", 16) >> i & 1)
        self.options = replace(self.options, attempt=told.attempt, device=self.options.device or _device(held))
        self._coords = self.options.coords or self._sharing.coords
        if len(self._coords) != len(self._sharing.mesh):
            raise ValueError(f"coords: expected {len(self._sharing.mesh)} of them, got {self._coords}")
        self.manifest = self._manifest(zeros)
        self._publisher = publisher(self.options)
        self._introduce(meeting, told)

    def _agree(self, meeting: Meeting, decided: bool) -> Word:
        rank, world_size = self.options.rank, self.options.world_size
        if rank != 0 and meeting.has_store:
            told = meeting.hear()
            return told._replace(attempt=self.options.attempt) if decided else told
        if not decided and world_size > 1 and not meeting.has_store:
            raise ValueError(
                f"expected an attempt that all {world_size} ranks share: set GRADFLOW_ATTEMPT to the start of the "
                "training in ms since the epoch, or call watch after init_process_group"
            )
        attempt = self.options.attempt if decided else meeting.attempt()
        zeros = "0" if self._sharing.sharded and not meeting.has_store and world_size > 1 else self._zeros()
        return Word(attempt, zeros, 0)

    def _introduce(self, meeting: Meeting, told: Word) -> None:
        """Rank 0 announces the layers, and whoever has others than rank 0."""
        if self.options.rank == 0:
            self._manifest_id = self._publisher.announce(self.manifest)
            meeting.tell(told._replace(manifest_id=self._manifest_id))
            optimizer = {} if self.manifest.optimizer is None else {"optimizer": self.manifest.optimizer}
            rates = self._learning_rates()
            rate = {} if not rates else {"learningRate": str(rates[0])}
            self._publisher.event("STARTED", self._next - 1, framework=self._sharing.framework, **optimizer, **rate)
            return
        self._manifest_id = self._publisher.refer(self.manifest)
        if self._manifest_id == told.manifest_id or (not meeting.has_store and self._sharing.stage is None):
            return
        if self._sharing.stage is None:
            self._say("this rank has other layers than rank 0; expected the same, or mesh= with a dimension pp")
        if meeting.is_first(str(self._manifest_id)):
            self._manifest_id = self._publisher.announce(self.manifest)

    def _zeros(self) -> str:
        """Which layers begin as zeros, as a hexadecimal bitmap."""
        slices = self._sharing.weights(self._held)
        known = [i for i, one in enumerate(slices) if one is not None and one.numel() and one.device.type != "meta"]
        here = [_dense(slices[i]) for i in known]
        if not here:
            return "0"
        measured, _ = self._meter.read([self._meter.start("zeros", here)])()
        self._meter.forget()
        flat = measured[0]
        return hex(
            sum(
                1 << i for i, largest, bad in zip(known, flat.rows[MAX_ABS], flat.rows[NANS]) if not largest and not bad
            )
        )

    def _hooked(self, model: torch.nn.Module, comm_hook: Optional[Tuple[Any, Hook]]) -> Optional[LocalGradients]:
        ddp = getattr(self._sharing, "ddp", None)
        if ddp is None or self.options.world_size == 1:
            return None
        places = {id(one.parameter): i for i, one in enumerate(self._held) if one.tied_to is None}
        local = LocalGradients(
            ddp,
            places,
            self._meter,
            lambda: self.enabled and self._next % self.options.every == 0,
            self._complaints.about,
        )
        hindrance = local.install(comm_hook)
        if hindrance is not None:
            self._say(f"gradients before the reduction are not published: {hindrance}")
            return None
        self._may_be_unused = bool(getattr(ddp, "find_unused_parameters", False))
        return local

    def _manifest(self, zeros: FrozenSet[int]) -> Manifest:
        sharing, every = self._sharing, self.options.every
        cadence = {
            column: steps
            for group, columns in _COLUMNS_OF.items()
            for column in columns
            for steps in [self.options.signals.every.get(group, 0)]
            if steps > 1
        }
        reporting = [Reporting(REDUCED, sharing.reduced_ranks, every, cadence or None)]
        if self._local is not None:
            reporting.insert(0, Reporting(LOCAL, sharing.local_ranks, every))
        rank = self.options.rank
        self._stages = [r.stage for r in reporting if r.ranks is None or rank in r.ranks]
        trained = {one.parameter.dtype for one in self._held if one.parameter.requires_grad}
        dtype = dtype_name(trained.pop()) if len(trained) == 1 else None
        optimizer = getattr(self._optimizer, "optimizer", self._optimizer)
        group = optimizer.param_groups[0] if getattr(optimizer, "param_groups", None) else {}
        return Manifest(
            run_id=self.options.run,
            attempt=self.options.attempt,
            stream=self.options.stream,
            layers=described(self._held, [sharing.placement(one) for one in self._held], zeros),
            world_size=self.options.world_size,
            mesh=sharing.mesh,
            reporting=tuple(reporting),
            gradient_dtype=dtype,
            reduction_dtype=dtype if sharing.framework == "DDP" and self._local is not None else None,
            master_dtype=dtype,
            optimizer=None if optimizer is None else type(optimizer).__name__.lower(),
            adam_eps=float(group["eps"]) if "betas" in group and "eps" in group else None,
        )

    # A step.

    def _measured(
        self, step: int, local: List[Tuple[np.ndarray, Started]], scaler: Any, numbers: Dict[str, Number]
    ) -> _Report:
        report = _Report(self, step, self._last)
        started: List[Started] = []
        present: Optional[List[int]] = None
        if REDUCED in self._stages or (self._local is not None and self._may_be_unused):
            gradients = self._sharing.gradients(self._tracked)
            present = [k for k, gradient in enumerate(gradients) if gradient is not None]
            present = self._measurable(gradients, present)
        if REDUCED in self._stages:
            assert present is not None
            due = self.options.signals.due(step)
            whole = len(present) == len(self._tracked)
            key: Hashable = "all" if whole else tuple(present)
            here = gradients if whole else [gradients[k] for k in present]
            report.layers, report.elements = self._selection(key, present, here)
            groups = frozenset([MOMENTS, HISTOGRAM]) & due
            started.append(self._meter.start(("gradients", key), here, groups))  # type: ignore[arg-type]
            if "weights" in due:
                held = self._tracked if whole else [self._tracked[k] for k in present]
                weights = self._sharing.weights(held)
                if all(one is not None for one in weights):
                    report.has_weights = True
                    started.append(self._meter.start(("weights", key), weights, frozenset([NORM_ONLY])))  # type: ignore[arg-type]
        if LOCAL in self._stages:
            if self._local is not None and present is not None and len(present) < len(self._tracked):
                report.local_only = frozenset(self._own[k] for k in present)
            report.local_layers = [layers for layers, _ in local]
            started += [measurement for _, measurement in local]
        tensors: List[torch.Tensor] = []
        for name, number in numbers.items():
            known = self._number(number)
            if known is not None:
                report.scalars.append(name)
                tensors.append(known)
        report.scales = _is_scaling(scaler)
        scale = _scale(scaler, self._optimizer) if report.scales else None
        if scale is not None:
            report.scalars.append("scale")
            tensors.append(scale)
        elif not report.scales:
            report.framework_scale = self._sharing.loss_scale()
        report.learning_rates = self._learning_rates()
        report.read = self._meter.read(started, tensors)
        return report

    def _measurable(self, gradients: List[Optional[torch.Tensor]], present: List[int]) -> List[int]:
        """Without what cannot be measured here."""
        for k in self._sparse.intersection(present):
            one = gradients[k]
            if one is not None and one.layout != torch.strided and one.device.type != "cpu":
                self._say(
                    f"the sparse gradient of {self._tracked[k].name} is left out: on a device its repeated rows could "
                    "only be added up by waiting for it"
                )
                present = [other for other in present if other != k]
        return present

    def _selection(
        self, key: Hashable, present: List[int], here: Sequence[Any]
    ) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        known = self._selected.get(key)
        if known is None:
            if len(self._selected) >= 256:
                self._selected.clear()
            sizes = np.array([one.numel() for one in here], np.int64) if self._sharing.sharded else None
            known = self._selected[key] = (self._own_places[present].astype(np.int32), sizes)
        return known

    def _number(self, number: Number) -> Optional[torch.Tensor]:
        if number is None:
            return None
        if not isinstance(number, torch.Tensor):
            return torch.tensor(float(number), dtype=torch.float64)
        known: Any = number.detach()
        if hasattr(known, "_local_tensor"):
            if not all(placement.is_replicate() for placement in known.placements):
                self._say("a number that is a distributed tensor of summands is left out; give its full_tensor()")
                return None
            known = known._local_tensor
        if known.numel() != 1:
            raise ValueError(f"expected a number or a tensor of one element, got one of {tuple(known.shape)}")
        return known  # type: ignore[no-any-return]

    def _learning_rates(self) -> Optional[List[float]]:
        groups = getattr(self._optimizer, "param_groups", None)
        if not groups:
            return None
        rates = [group.get("lr") for group in groups]
        if any(rate is None or (isinstance(rate, torch.Tensor) and rate.device.type != "cpu") for rate in rates):
            return None
        return [float(rate) for rate in rates]

    def _flush(self) -> None:
        """Offers a step that has waited for after_clip in vain."""
        report, self._pending = self._pending, None
        if report is not None:
            self._clips = False
            self._offer(report)

    def _offer(self, report: _Report) -> None:
        for stage in self._stages:
            self._publisher.offer(functools.partial(report.shard, stage))

    def _say(self, fact: str) -> None:
        """A fact of the run, said once."""
        if fact not in self._said:
            self._said.add(fact)
            LOG.warning("%s: %s", self._complaints._who, fact)


class _Report:
    """A step on its way: what was measured, until the publisher's thread makes records of it."""

    def __init__(self, watch: Watch, step: int, previous_step: int) -> None:
        self._options = watch.options
        self._coords = watch._coords
        self._manifest_id = watch._manifest_id
        self._step = step
        self._previous_step = previous_step
        self._lock = threading.Lock()
        self._known: Optional[Tuple[List[Measured], List[float]]] = None
        self.read: Optional[Callable[[], Tuple[List[Measured], List[float]]]] = None
        self.late_norm: Optional[Callable[[], Tuple[List[Measured], List[float]]]] = None
        self.scalars: List[str] = []
        self.layers: Optional[np.ndarray] = None
        self.elements: Optional[np.ndarray] = None
        self.has_weights = False
        self.local_layers: List[np.ndarray] = []
        self.local_only: Optional[FrozenSet[int]] = None
        self.scales = False
        self.framework_scale: Optional[float] = None
        self.weight = 1.0
        self.learning_rates: Optional[List[float]] = None
        self.batch_ids: Optional[List[str]] = None
        self.clips = False
        self.clip_mode = "norm"
        self.clip_limit: Optional[float] = None
        self.clip_applied = False

    def shard(self, stage: str) -> Shard:
        """The record of a stage. Called on the publisher's thread: waits for what comes from a device."""
        with self._lock:
            if self._known is None:
                assert self.read is not None
                self._known, self.read = self.read(), None
                if self.late_norm is not None:
                    self._known[1].append(self.late_norm()[1][0])
                    self.scalars.append("norm")
        measured, values = self._known
        numbers = dict(zip(self.scalars, values))
        reduced = 0 if self.layers is None else 1 + self.has_weights
        if stage == REDUCED:
            columns = self._reduced(measured)
        else:
            columns = self._local(measured[reduced:])
        norm = numbers.get("norm")
        options = self._options
        return Shard(
            run_id=options.run,
            attempt=options.attempt,
            stream=options.stream,
            step=self._step,
            rank=options.rank,
            coords=self._coords,
            manifest_id=self._manifest_id,
            stage=stage,
            columns=columns,
            previous_step=self._previous_step,
            weight=self.weight,
            loss_scale=numbers.get("scale", self.framework_scale),
            # A scaler skips exactly the steps in which any gradient is not finite.
            step_skipped=self.scales and any(one.nonfinite() is not None for one in measured),
            clip_mode=self.clip_mode if self.clips else None,
            clip_norm=self.clip_limit if self.clips else None,
            clip_coef=self._coefficient(numbers, measured),
            clip_applied=self.clip_applied and stage == REDUCED,
            reported_global_norm=norm,
            loss=numbers.get("loss"),
            validation_loss=numbers.get("validation"),
            learning_rates=self.learning_rates,
            batch_ids=self.batch_ids,
            host=options.host,
            device=options.device,
        )

    def _coefficient(self, numbers: Mapping[str, float], measured: List[Measured]) -> Optional[float]:
        """What clipping multiplies the gradient by, as ``clip_grad_norm_`` computes it."""
        if not self.clips or self.clip_mode != "norm" or self.clip_limit is None:
            return None
        norm = numbers.get("norm")
        if norm is None and self.layers is not None and self.elements is None and not self.clip_applied:
            # All of the gradient is here.
            scale = numbers.get("scale", self.framework_scale) or 1.0
            norm = float(np.sqrt(measured[0].rows[SQUARES].sum())) / scale
            norm = float("nan") if measured[0].nonfinite() is not None else norm
        if norm is None or not np.isfinite(norm):
            return None
        return min(1.0, self.clip_limit / (norm + 1e-6))

    def _reduced(self, measured: List[Measured]) -> Columns:
        gradients = measured[0]
        assert self.layers is not None
        columns = _columns(self.layers, gradients.rows, gradients)
        columns.elements = self.elements
        columns.zeros = gradients.column(ZEROS)
        columns.sum_abs = gradients.column(SUM_ABS)
        columns.sum = gradients.column(SUM)
        columns.subnormals = gradients.column(SUBNORMALS)
        columns.min_nonzero_abs = gradients.column(MIN_NONZERO)
        if gradients.histogram is not None:
            columns.histogram_offsets = gradients.histogram.offsets
            columns.histogram_bins = gradients.histogram.bins
            columns.histogram_counts = gradients.histogram.counts
        if self.has_weights:
            weights = measured[1]
            columns.weight_norm = weights.norm()
            bad = weights.nonfinite()
            if bad is not None:
                columns.weight_norm[bad] = np.nan
        return columns

    def _local(self, buckets: List[Measured]) -> Columns:
        if not buckets:
            nothing = np.zeros(0, np.float32)
            return Columns(nothing, nothing, layers=np.zeros(0, np.int32))
        layers = np.concatenate(self.local_layers)
        rows = np.concatenate([one.rows for one in buckets], axis=1)
        order = np.argsort(layers, kind="stable")
        if self.local_only is not None:
            order = order[[int(layer) in self.local_only for layer in layers[order]]]
        together = Measured(rows[:, order], frozenset(), None)
        return _columns(layers[order].astype(np.int32), together.rows, together)


def _columns(layers: np.ndarray, rows: np.ndarray, measured: Measured) -> Columns:
    """Norms, maxima and what is not finite."""
    columns = Columns(measured.norm(), measured.max_abs())
    if layers.size and int(layers[-1]) - int(layers[0]) == layers.size - 1:
        columns.first_layer = int(layers[0])
    else:
        columns.layers = layers
    bad = measured.nonfinite()
    if bad is not None:
        columns.nonfinite_layers = layers[bad].astype(np.int32)
        columns.nans, columns.pos_infs, columns.neg_infs = (
            rows[row, bad].astype(np.int64) for row in (NANS, POS_INFS, NEG_INFS)
        )
    return columns


def _unmeasured() -> Shard:
    raise RuntimeError("the gradient could not be measured")


def _is_scaling(scaler: Any) -> bool:
    enabled = getattr(scaler, "is_enabled", None)
    return scaler is not None and (enabled is None or bool(enabled()))


def _scale(scaler: Any, optimizer: Any) -> Optional[torch.Tensor]:
    """What gradients are still multiplied by, where the scaler keeps it; None once they are unscaled."""
    states = getattr(scaler, "_per_optimizer_states", None) or {}
    optimizer = getattr(optimizer, "optimizer", optimizer)
    if optimizer is not None:
        states = {key: state for key, state in states.items() if key == id(optimizer)}
    if any(getattr(state.get("stage"), "name", "READY") != "READY" for state in states.values()):
        return None
    scale = getattr(scaler, "_scale", None)
    if scale is None:
        value = getattr(scaler, "get_scale", lambda: None)()
        return None if value is None else torch.tensor(float(value), dtype=torch.float64)
    return scale  # type: ignore[no-any-return]


def _dense(one: Optional[torch.Tensor]) -> torch.Tensor:
    assert one is not None
    return one


def _device(held: Sequence[Held]) -> str:
    return str(held[0].parameter.device)


def _who(options: Options) -> str:
    return f"gradflow watch of run {options.run} stream {options.stream} rank {options.rank}"


def _close_at_exit(watching: Watch) -> None:
    """A step that waits for after_clip must not be lost at the end of the process."""
    known = weakref.ref(watching)

    def flush() -> None:
        left = known()
        if left is not None and left.enabled:
            left._flush()

    atexit.register(flush)
