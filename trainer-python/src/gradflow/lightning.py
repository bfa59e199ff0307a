"""For Lightning's ``Trainer``.

::

    trainer = Trainer(callbacks=[GradflowCallback(run="pretrain", bootstrap_servers="kafka:9092")])
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence

from gradflow.watching import Watch, watch

try:
    from lightning.pytorch.callbacks import Callback as _Base  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback as _Base  # type: ignore[import-not-found, no-redef, unused-ignore]
    except ImportError:  # This module can be imported without Lightning.
        _Base = object  # type: ignore[assignment, misc, unused-ignore]


class GradflowCallback(_Base):  # type: ignore[misc, valid-type, unused-ignore]
    """Watches the gradients of a trainer, before it clips them; the options are those of `gradflow.watch`.

    The run is FINISHED at the end of ``fit()``, and not if that is interrupted or raises.

    modules: of a training with several optimisers, e.g. ``["generator", "discriminator"]``: for each optimiser in their
    order, which attribute of the LightningModule it trains. Each is a stream of that name.
    """

    def __init__(self, modules: Optional[Sequence[str]] = None, **options: Any) -> None:
        super().__init__()
        self._modules = modules
        self._options = options
        self._watches: Dict[int, Watch] = {}
        self._loss: Any = None

    @property
    def watches(self) -> Sequence[Watch]:
        """What watches the training under way, one for each optimiser that is watched."""
        return list(self._watches.values())

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        limit = trainer.gradient_clip_val or None
        if self._modules is None:
            wrapped = getattr(trainer.strategy, "model", None)
            optimizer = trainer.optimizers[0] if len(trainer.optimizers) == 1 else None
            one = watch(
                pl_module if wrapped is None else wrapped,
                optimizer=optimizer,
                max_norm=limit,
                first_step=trainer.global_step,
                **self._options,
            )
            # Of several optimisers each is a step of its own; the gradients of the others are what they were.
            self._watches = {id(each): one for each in trainer.optimizers}
            return
        for name, optimizer in zip(self._modules, trainer.optimizers):
            self._watches[id(optimizer)] = watch(
                getattr(pl_module, name), optimizer=optimizer, max_norm=limit, stream=name, **self._options
            )

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        # Of micro-batches Lightning has divided it by their number.
        self._loss = loss.detach() if self._loss is None else self._loss + loss.detach()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        one = self._watches.get(id(optimizer))
        loss, self._loss = self._loss, None
        if one is not None:
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            mode = str(getattr(trainer.gradient_clip_algorithm, "value", None) or "norm")
            one.before_step(loss=loss, scaler=scaler, max_norm=trainer.gradient_clip_val or None, clip_mode=mode)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            for one in self.watches:
                one.event("EVAL")

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        for one in self.watches:
            one.checkpoint()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._close(finished=not getattr(trainer, "interrupted", False))

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._close(finished=False)

    def _close(self, finished: bool) -> None:
        for one in self.watches:
            one.close(finished=finished)
