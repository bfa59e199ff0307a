"""Callbacks of Lightning and Hugging Face, with the real packages where they are installed."""

from __future__ import annotations

import importlib
import math
from typing import Any, Dict, List

import pytest
import torch
from fakes import FakePublisher, by_name
from torch import nn

from gradflow.records import REDUCED

NOWHERE: Dict[str, Any] = {"run": "r", "bootstrap_servers": "nowhere:1", "publisher": FakePublisher}


@pytest.mark.parametrize("name", ["gradflow.lightning", "gradflow.huggingface"])
def test_callbacks_can_be_imported_and_made_without_their_framework(name: str) -> None:
    importlib.import_module(name).GradflowCallback(run="r")


def global_norm(shard: Any) -> float:
    return math.sqrt(float((shard.columns.norm.astype("f8") ** 2).sum()))


def data(count: int) -> List[Dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {"x": torch.randn(4, generator=generator), "labels": torch.randn(1, generator=generator)} for _ in range(count)
    ]


# Hugging Face.


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> Dict[str, torch.Tensor]:
        out = self.inner(x)
        return {"loss": 100 * (out - labels).square().mean(), "logits": out}


def huggingface_trainer(tmp_path: Any, **settings: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    torch.manual_seed(2)
    settings = {"max_steps": 4, "per_device_train_batch_size": 2, "max_grad_norm": 0.5, **settings}
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        use_cpu=True,
        report_to=[],
        save_strategy="steps",
        save_steps=2,
        disable_tqdm=True,
        learning_rate=0.1,
        lr_scheduler_type="constant",
        **settings,
    )
    return transformers.Trainer(model=Regression(), args=arguments, train_dataset=data(32), eval_dataset=data(4))


def test_huggingface_attached_publishes_what_there_is_before_clipping(tmp_path: Any) -> None:
    from gradflow.huggingface import GradflowCallback

    trainer = huggingface_trainer(tmp_path, gradient_accumulation_steps=2)
    callback = GradflowCallback(**NOWHERE).attach(trainer)
    trainer.train()
    publisher = callback.watch._publisher
    assert [(s.step, s.stage) for s in publisher.shards] == [(step, REDUCED) for step in range(4)]
    for shard in publisher.shards:
        assert global_norm(shard) > 0.5
        assert shard.reported_global_norm == pytest.approx(global_norm(shard), rel=1e-5)
        assert shard.clip_coef == pytest.approx(0.5 / global_norm(shard), rel=1e-4)
        assert (shard.clip_norm, shard.clip_applied, shard.learning_rates) == (0.5, False, [0.1, 0.1])
        assert shard.loss is not None and shard.loss > 0
    assert [event[:2] for event in publisher.events] == [
        ("STARTED", -1),
        ("CHECKPOINT", 1),
        ("CHECKPOINT", 3),
        ("FINISHED", 3),
    ]
    assert callback.watch.manifest.layers[0].name == "inner.weight"


def test_huggingface_given_as_a_callback_alone_says_that_gradients_are_clipped(tmp_path: Any) -> None:
    from gradflow.huggingface import GradflowCallback

    trainer = huggingface_trainer(tmp_path)
    callback = GradflowCallback(**NOWHERE)
    trainer.add_callback(callback)
    trainer.train()
    for shard in callback.watch._publisher.shards:
        assert shard.clip_applied and shard.clip_coef is None and global_norm(shard) == pytest.approx(0.5, rel=1e-4)


def test_huggingface_without_clipping(tmp_path: Any) -> None:
    from gradflow.huggingface import GradflowCallback

    trainer = huggingface_trainer(tmp_path, max_grad_norm=0.0)
    callback = GradflowCallback(**NOWHERE).attach(trainer)
    trainer.train()
    trainer.evaluate()
    found = callback.watch._publisher.shards
    assert len(found) == 4
    assert all(shard.clip_mode is None and not shard.clip_applied for shard in found)


# Lightning.


def lightning_fit(module: Any, callback: Any, tmp_path: Any, **settings: Any) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=settings.pop("max_steps", 4),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(tmp_path),
        callbacks=[callback],
        **settings,
    )
    trainer.fit(module, torch.utils.data.DataLoader(data(64), batch_size=2))


def lightning_module(fail_at: int = -1) -> Any:
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.inner = nn.Linear(4, 1)
            self.losses: List[float] = []

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            if index == fail_at:
                raise KeyError("broken")
            loss = 100 * (self.inner(batch["x"]) - batch["labels"]).square().mean()
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return Module()


def test_lightning_publishes_what_there_is_before_clipping(tmp_path: Any) -> None:
    pytest.importorskip("lightning")
    from gradflow.lightning import GradflowCallback

    module, callback = lightning_module(), GradflowCallback(**NOWHERE)
    lightning_fit(module, callback, tmp_path, gradient_clip_val=0.5, accumulate_grad_batches=2)
    (watch,) = callback.watches
    found = watch._publisher.shards
    assert [s.step for s in found] == [0, 1, 2, 3]
    for shard in found:
        assert global_norm(shard) > 0.5 and not shard.clip_applied
        assert (shard.clip_mode, shard.clip_norm) == ("norm", 0.5)
        assert shard.clip_coef == pytest.approx(0.5 / global_norm(shard), rel=1e-4)
        pair = module.losses[2 * shard.step : 2 * shard.step + 2]
        assert shard.loss == pytest.approx(sum(pair) / 2)
        assert set(by_name(watch.manifest, shard.columns)) == {"inner.weight", "inner.bias"}
    assert [event[:2] for event in watch._publisher.events] == [("STARTED", -1), ("FINISHED", 3)]


def test_lightning_that_fails_is_not_finished(tmp_path: Any) -> None:
    pytest.importorskip("lightning")
    from gradflow.lightning import GradflowCallback

    callback = GradflowCallback(**NOWHERE)
    with pytest.raises(KeyError):
        lightning_fit(lightning_module(fail_at=2), callback, tmp_path)
    (watch,) = callback.watches
    assert [event[0] for event in watch._publisher.events] == ["STARTED"]
    assert [s.step for s in watch._publisher.shards] == [0, 1] and not watch.enabled


def test_lightning_with_two_optimisers_has_two_streams(tmp_path: Any) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    from gradflow.lightning import GradflowCallback

    class Pair(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.discriminator = nn.Linear(4, 4), nn.Linear(4, 1)

        def training_step(self, batch: Any, index: int) -> None:
            first, second = self.optimizers()
            for optimizer in (first, second) if index % 2 == 0 else (second,):
                loss = self.discriminator(self.generator(batch["x"])).square().mean()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()

        def configure_optimizers(self) -> Any:
            return [
                torch.optim.SGD(self.generator.parameters(), lr=0.01),
                torch.optim.SGD(self.discriminator.parameters(), lr=0.02),
            ]

    callback = GradflowCallback(modules=["generator", "discriminator"], **NOWHERE)
    lightning_fit(Pair(), callback, tmp_path, max_steps=6)
    assert [(w.options.stream, len(w._publisher.shards)) for w in callback.watches] == [
        ("generator", 2),
        ("discriminator", 4),
    ]
    assert callback.watches[1]._publisher.shards[0].learning_rates == [0.02]
