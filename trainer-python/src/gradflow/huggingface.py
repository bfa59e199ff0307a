"""For Hugging Face's ``transformers.Trainer``.

::

    GradflowCallback(run="finetune", bootstrap_servers="kafka:9092").attach(trainer)
    trainer.train()

The trainer calls ``on_pre_optimizer_step`` only after it has clipped. `GradflowCallback.attach` therefore also listens
at the accelerator's ``clip_grad_norm_``, so that gradients are published as they are before it. Given to the trainer
with ``callbacks=[...]`` alone, the clipped gradients are published, and marked so: explosions cannot be seen in them.
"""

from __future__ import annotations

import math
from typing import Any, Optional

from gradflow.watching import Watch, watch

try:
    from transformers import TrainerCallback as _Base  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # This module can be imported without transformers.
    _Base = object  # type: ignore[assignment, misc, unused-ignore]


class GradflowCallback(_Base):  # type: ignore[misc, valid-type, unused-ignore]
    """Watches the gradients of a trainer; the options are those of `gradflow.watch`.

    The run is FINISHED at the end of ``train()``, and not if that raises. Not for training with DeepSpeed's own step,
    where the gradients are gone before anything is called.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._watch: Optional[Watch] = None
        self._trainer: Any = None
        self._loss: Any = None
        self._is_measured = False

    def attach(self, trainer: Any) -> GradflowCallback:
        """Adds itself to the trainer, and listens before clipping."""
        self._trainer = trainer
        trainer.add_callback(self)
        clip, train = trainer.accelerator.clip_grad_norm_, trainer.training_step

        def clip_grad_norm_(parameters: Any, max_norm: float, *args: Any, **kwargs: Any) -> Any:
            # The trainer also calls it with an infinite limit, to learn the norm.
            if not math.isfinite(max_norm):
                return clip(parameters, max_norm, *args, **kwargs)
            self._before_step()
            norm = clip(parameters, max_norm, *args, **kwargs)
            if self._watch is not None:
                self._watch.after_clip(norm, max_norm)
            return norm

        def training_step(*args: Any, **kwargs: Any) -> Any:
            loss = train(*args, **kwargs)
            # Of micro-batches the trainer has divided it by their number.
            self._loss = loss if self._loss is None else self._loss + loss
            return loss

        trainer.accelerator.clip_grad_norm_ = clip_grad_norm_
        trainer.training_step = training_step
        return self

    @property
    def watch(self) -> Optional[Watch]:
        """What watches the training under way; None before ``train()``."""
        return self._watch

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        wrapped = getattr(self._trainer, "model_wrapped", None)
        limit = getattr(args, "max_grad_norm", None)
        self._watch = watch(
            model if wrapped is None else wrapped,
            optimizer=kwargs.get("optimizer"),
            max_norm=limit or None,
            first_step=state.global_step,
            **self._options,
        )

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._is_measured:
            return
        limit = getattr(args, "max_grad_norm", None) or None
        self._before_step(clip_applied=limit is not None, max_norm=limit)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._is_measured = False
        self._loss = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.on_optimizer_step(args, state, control)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        if self._watch is not None:
            loss = (metrics or {}).get("eval_loss")
            self._watch.event("EVAL", **({} if loss is None else {"validationLoss": loss}))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._watch is not None:
            self._watch.checkpoint()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._watch is not None:
            self._watch.close(finished=True)

    def _before_step(self, **clipping: Any) -> None:
        if self._watch is not None and not self._is_measured:
            self._is_measured = True
            scaler = getattr(getattr(self._trainer, "accelerator", None), "scaler", None)
            self._watch.before_step(loss=self._loss, scaler=scaler, **clipping)
