"""One process: what a step says, and that nothing harms a training."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import threading
from typing import Any, List

import pytest
import torch
from fakes import FakePublisher, by_name, layers_of
from test_publisher import Kafka
from torch import nn

import gradflow
from gradflow.options import Options
from gradflow.publisher import Publisher


def watched(model: nn.Module, **options: Any) -> gradflow.Watch:
    options.setdefault("publisher", FakePublisher)
    return gradflow.watch(model, run="r", bootstrap_servers="nowhere:1", **options)


def shards(watch: gradflow.Watch) -> List[Any]:
    watch.close()
    return watch._publisher.shards  # type: ignore[no-any-return]


def backward(model: nn.Module, factor: float = 1.0) -> torch.Tensor:
    loss = model(torch.ones(2, 4)).square().mean() * factor
    loss.backward()
    return loss


def test_a_step_says_what_there_is_to_say() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.AdamW([{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.2}])
    watch = watched(model, optimizer=optimizer, stream="critic", first_step=40)
    loss = backward(model)
    watch.before_step(loss=loss, weight=2, validation_loss=0.5, batch_ids=["a", 7])
    (shard,) = shards(watch)
    assert (shard.stream, shard.step, shard.previous_step, shard.weight) == ("critic", 40, -1, 2)
    assert shard.loss == pytest.approx(loss.item()) and shard.validation_loss == 0.5
    assert shard.learning_rates == [0.1, 0.2] and shard.batch_ids == ["a", "7"]
    assert shard.device == "cpu" and shard.host
    assert shard.clip_mode is None and shard.loss_scale is None and not shard.step_skipped
    assert watch.manifest.optimizer == "adamw" and watch.manifest.adam_eps == 1e-8
    assert by_name(watch.manifest, shard.columns)["weight"] == pytest.approx(model.weight.grad.double().norm().item())
    assert by_name(watch.manifest, shard.columns, "weight_norm")["bias"] == pytest.approx(
        model.bias.double().norm().item()
    )


def test_signals_come_when_they_are_due_and_the_manifest_says_when() -> None:
    model = nn.Linear(4, 3)
    watch = watched(model, signals="moments:2,histogram:3")
    for _ in range(4):
        backward(model)
        watch.before_step()
    found = shards(watch)
    assert [s.columns.zeros is not None for s in found] == [True, False, True, False]
    assert [s.columns.histogram_bins is not None for s in found] == [True, False, False, True]
    assert all(s.columns.weight_norm is None for s in found)
    cadence = watch.manifest.reporting[0].column_every
    assert cadence["sumAbs"] == 2 and cadence["histogramBins"] == 3 and "weightNorm" not in cadence


def test_layers_without_a_gradient_are_absent() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    model[2].requires_grad_(False)
    watch = watched(model)
    (model[3](model[2](model[0](torch.ones(1, 4))))).sum().backward()
    watch.before_step()
    (shard,) = shards(watch)
    assert layers_of(shard.columns) == [0, 1, 6, 7]


def test_adapters_over_a_frozen_base() -> None:
    model = nn.ModuleDict({"base": nn.Linear(4, 4), "lora_A": nn.Linear(4, 1, False), "lora_B": nn.Linear(1, 4, False)})
    model["base"].requires_grad_(False)
    nn.init.zeros_(model["lora_B"].weight)
    watch = watched(model)
    x = torch.ones(1, 4)
    (model["base"](x) + model["lora_B"](model["lora_A"](x))).sum().backward()
    watch.before_step()
    (shard,) = shards(watch)
    assert set(by_name(watch.manifest, shard.columns)) == {"lora_A.weight", "lora_B.weight"}
    # The adapter's gradient is zero in the first step, by design: there it is, and the layer says so.
    assert by_name(watch.manifest, shard.columns)["lora_A.weight"] == 0
    assert {layer.name for layer in watch.manifest.layers if layer.zero_init} >= {"lora_B.weight"}


def test_bfloat16_norms_are_not_rounded_to_bfloat16() -> None:
    model = nn.Linear(4, 300).to(torch.bfloat16)
    watch = watched(model)
    (model(torch.randn(2, 4).to(torch.bfloat16)).float() * torch.linspace(0.1, 3, 300)).sum().backward()
    exact = model.weight.grad.double().norm().item()
    watch.before_step()
    (shard,) = shards(watch)
    assert by_name(watch.manifest, shard.columns)["weight"] == pytest.approx(exact, rel=1e-6)
    assert abs(float(torch.tensor(exact).bfloat16()) / exact - 1) > 1e-5
    assert watch.manifest.gradient_dtype == "bfloat16"


# Loss scaling.


def scaler_on_cpu(**settings: Any) -> Any:
    if not hasattr(torch.amp, "GradScaler"):
        pytest.skip("this version of torch has no loss scaling on the CPU")
    return torch.amp.GradScaler("cpu", **settings)


def test_scaled_gradients_are_published_with_their_scale() -> None:
    scaler, model = scaler_on_cpu(init_scale=1024.0), nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    watch = watched(model, optimizer=optimizer)
    for unscaled_before in (False, True):
        loss = model(torch.ones(2, 4)).square().mean()
        scaler.scale(loss).backward()
        if unscaled_before:
            scaler.unscale_(optimizer)
        watch.before_step(loss=loss, scaler=scaler)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    scaled, plain = shards(watch)
    assert (scaled.loss_scale, plain.loss_scale) == (1024, None)
    assert scaled.columns.norm / 1024 == pytest.approx(plain.columns.norm, rel=1e-6)


def test_a_step_that_the_scaler_skips_says_so() -> None:
    scaler, model = scaler_on_cpu(init_scale=2.0**120), nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch = watched(model, optimizer=optimizer)
    skipped = []
    for factor in (1e10, 1e-3):
        before = model.weight.detach().clone()
        loss = model(torch.ones(2, 4)).square().mean() * factor
        scaler.scale(loss).backward()
        watch.before_step(loss=loss, scaler=scaler)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        skipped.append(torch.equal(before, model.weight))
    found = shards(watch)
    assert skipped == [True, False]
    assert [s.step_skipped for s in found] == skipped
    assert found[0].columns.nonfinite_layers.tolist() == [0, 1] and found[0].loss_scale == 2.0**120


def test_a_nan_without_a_scaler_is_no_skipped_step() -> None:
    model = nn.Linear(4, 3)
    watch = watched(model)
    backward(model, math.nan)
    watch.before_step(scaler=scaler_on_cpu(enabled=False))
    (shard,) = shards(watch)
    assert not shard.step_skipped and shard.loss_scale is None and shard.columns.nans.sum() == 15


# Clipping.


def test_the_first_step_waits_for_clipping_and_the_others_know() -> None:
    model = nn.Linear(4, 3)
    watch = watched(model)
    arrived = []
    for _ in range(3):
        backward(model)
        watch.before_step()
        arrived.append(len(watch._publisher.shards))
    assert arrived == [0, 2, 3]
    assert all(s.clip_mode is None for s in shards(watch))


def test_clipping_told_afterwards_or_at_once() -> None:
    model = nn.Linear(4, 3)
    watch = watched(model, max_norm=0.5)
    backward(model)
    watch.before_step()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    watch.after_clip(norm)
    model.zero_grad()
    backward(model)
    watch.before_step(reported_norm=norm)
    watch.before_step(reported_norm=0.1, max_norm=2.0)
    watch.before_step(reported_norm=math.inf, max_norm=2.0)
    watch.before_step(clip_applied=True, max_norm=2.0)
    found = shards(watch)
    exact = float(norm)
    assert [s.clip_norm for s in found] == [0.5, 0.5, 2, 2, 2]
    assert [s.clip_coef for s in found] == [pytest.approx(0.5 / (exact + 1e-6))] * 2 + [1, None, None]
    assert [s.reported_global_norm for s in found] == [pytest.approx(exact)] * 2 + [0.1, math.inf, None]
    assert [s.clip_applied for s in found] == [False] * 4 + [True]
    assert {s.clip_mode for s in found} == {"norm"}


def test_clipping_by_value_has_no_coefficient() -> None:
    model = nn.Linear(4, 3)
    watch = watched(model)
    backward(model)
    watch.before_step()
    watch.after_clip(mode="value", max_norm=0.1)
    (shard,) = shards(watch)
    assert (shard.clip_mode, shard.clip_norm, shard.clip_coef) == ("value", 0.1, None)


# Events.


def test_events_name_the_step_they_follow() -> None:
    model = nn.Linear(4, 3)
    with watched(model) as watch:
        backward(model)
        watch.before_step()
        watch.event("EVAL", loss=0.25)
        watch.checkpoint()
        watch.checkpoint(step=0, path="a")
        backward(model)
        watch.before_step()
    assert watch._publisher.events == [
        ("STARTED", -1, {"framework": "none"}),
        ("EVAL", 0, {"loss": "0.25"}),
        ("CHECKPOINT", 0, {"checkpoint": "0"}),
        ("CHECKPOINT", 0, {"checkpoint": "0", "path": "a"}),
        ("FINISHED", 1, {}),
    ]
    assert watch._publisher.closed == 1
    assert [s.step for s in watch._publisher.shards] == [0, 1]


def test_a_training_that_fails_is_not_finished() -> None:
    with pytest.raises(KeyError), watched(nn.Linear(4, 3)) as watch:
        raise KeyError
    assert [type for type, _, _ in watch._publisher.events] == ["STARTED"]


# Harm.


@pytest.mark.parametrize("how", ["keyword", "environment"])
def test_switched_off_every_call_does_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_publisher(options: Options) -> Any:
        raise AssertionError("a publisher was made")

    if how == "environment":
        monkeypatch.setenv("GRADFLOW_ENABLED", "0")
    model = nn.Linear(4, 3)
    watch = gradflow.watch(model, publisher=no_publisher, **({"enabled": False} if how == "keyword" else {}))
    backward(model)
    watch.before_step(loss=1.0)
    watch.after_clip(2.0)
    watch.event("EVAL")
    watch.checkpoint(3)
    watch.close(finished=True)
    assert watch.stats() is None and not watch.enabled and watch.step == 0


def test_options_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RUN": "from outside", "BOOTSTRAP_SERVERS": "a:1", "EVERY": "5", "ATTEMPT": "77"}.items():
        monkeypatch.setenv(f"GRADFLOW_{name}", value)
    watch = gradflow.watch(nn.Linear(2, 2), publisher=FakePublisher, every=2)
    assert (watch.options.run, watch.options.attempt, watch.options.every) == ("from outside", 77, 2)


def test_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="GRADFLOW_RUN"):
        gradflow.watch(nn.Linear(2, 2), bootstrap_servers="a:1")
    with pytest.raises(TypeError, match="colour"):
        watched(nn.Linear(2, 2), colour="red")


class FailingPublisher(FakePublisher):
    def offer(self, make: Any, room: int = 1) -> None:
        raise OSError("no room in the house")


def test_what_fails_inside_is_logged_and_the_training_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Linear(4, 3)
    watch = watched(model, publisher=FailingPublisher)
    with caplog.at_level(logging.WARNING, "gradflow"):
        for _ in range(3):
            backward(model)
            watch.before_step(loss=torch.ones(3))
            watch.after_clip("nonsense")  # type: ignore[arg-type]
            watch.event("EVAL")
    assert watch.step == 3
    assert len(caplog.records) == 1 and "before_step has failed" in caplog.text
    assert "a tensor of one element" in caplog.text or "no room in the house" in caplog.text


def test_a_step_that_cannot_be_measured_counts_as_dropped() -> None:
    model = nn.Linear(4, 3)
    watch = watched(model)
    backward(model)
    watch.before_step(loss=torch.ones(3))
    backward(model)
    watch.before_step(loss=1.0)
    found = shards(watch)
    assert watch._publisher.dropped == 1
    assert [(s.step, s.previous_step) for s in found] == [(1, 0)]


def test_a_model_without_parameters_is_not_watched(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gradflow"):
        watch = watched(nn.ReLU())
    assert not watch.enabled and "expected a model with parameters" in caplog.text
    watch.before_step()


class LatePublisher(FakePublisher):
    """Makes shards on a thread of its own, and not before it is told to."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.made_by: List[str] = []
        self.waiting: List[Any] = []

    def offer(self, make: Any, room: int = 1) -> None:
        self.waiting.append(make)

    def make_all(self) -> None:
        def make() -> None:
            for one in self.waiting:
                super(LatePublisher, self).offer(one)
                self.made_by.append(threading.current_thread().name)

        thread = threading.Thread(target=make, name="publisher")
        thread.start()
        thread.join(60)


def test_what_is_published_is_of_its_step_however_late_it_is_made() -> None:
    model = nn.Linear(4, 3)
    watch = watched(model, publisher=LatePublisher)
    expected = []
    for factor in (1.0, 2.0, 3.0):
        backward(model, factor)
        expected.append(model.weight.grad.double().norm().item())
        watch.before_step(loss=factor)
        # As clipping, the optimiser and the next step do.
        model.weight.grad.zero_()
        model.zero_grad()
    watch.close()
    watch._publisher.make_all()
    assert [s.columns.norm[0] for s in watch._publisher.shards] == pytest.approx(expected, rel=1e-6)
    assert [s.loss for s in watch._publisher.shards] == [1, 2, 3]
    assert set(watch._publisher.made_by) == {"publisher"}


def test_with_the_real_publisher_all_that_is_handed_over_is_sent() -> None:
    kafka, model = Kafka(), nn.Linear(4, 3)
    watch = watched(model, publisher=lambda options: Publisher(options, kafka))
    for _ in range(5):
        watch.before_step(loss=backward(model))
    watch.close(finished=True, timeout=30)
    stats = watch.stats()
    assert (stats.handed_over, stats.sent, stats.dropped, stats.failed, stats.waiting) == (8, 8, 0, 0, 0)
    (manifest,) = kafka.values("gradient-manifests")
    sent = kafka.values("gradient-shards")
    assert [one["step"] for one in sent] == list(range(5))
    assert {one["manifestId"] for one in sent} == {manifest["manifestId"]}
    assert [one["type"] for one in kafka.values("gradient-runs")] == ["STARTED", "FINISHED"]
    assert sent[-1]["norm"] == [pytest.approx(p.grad.double().norm().item()) for p in model.parameters()]


def test_a_step_that_waits_for_clipping_is_not_lost_at_the_end_of_the_process(tmp_path: Any) -> None:
    program = """
import sys, torch, gradflow
from fakes import FakePublisher
class Telling(FakePublisher):
    def offer(self, make, room=1):
        print("step", make().step, flush=True)
model = torch.nn.Linear(2, 1)
watch = gradflow.watch(model, run="r", bootstrap_servers="nowhere:1", publisher=Telling)
model(torch.ones(1, 2)).sum().backward()
watch.before_step()
"""
    here = os.path.dirname(__file__)
    path = os.pathsep.join([here, os.path.join(here, "..", "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "step 0\n", done.stderr
