"""What watching costs a training: time added to a step, beside two ways that are in wide use.

Two processes train by DistributedDataParallel over gloo. Ways of watching take turns every few steps on models
of the same shape, so that whatever else the machine does strikes all of them. A step's time is that of its slowest
rank. ``./gradflow bench trainers`` runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

import gradflow

RANKS = 2
WIDTH = 48
TURN = 10
WARM_UP = 30


class Layers(torch.nn.Module):
    """As many parameter tensors as asked for: square weights and their biases, in residual blocks."""

    def __init__(self, parameters: int):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(parameters // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + torch.tanh(layer(x)) / len(self.layers)
        return x


class Nothing:
    """The training alone."""

    def __init__(self, model, optimizer, run):
        pass

    def before_step(self, loss):
        pass

    def close(self):
        pass


class Gradflow:
    """gradflow.watch, as a user calls it."""

    signals = "moments,weights,histogram:10"

    def __init__(self, model, optimizer, run):
        self.watch = gradflow.watch(model, run=run, optimizer=optimizer, signals=self.signals)

    def before_step(self, loss):
        self.watch.before_step(loss=loss)

    def close(self):
        self.watch.close()


class GradflowNorms(Gradflow):
    """The same without the signals beside norms."""

    signals = "none"


class Histograms:
    """A histogram of 64 bins per parameter, brought to the host one by one, as experiment loggers do."""

    def __init__(self, model, optimizer, run):
        self.parameters = list(model.parameters())

    def before_step(self, loss):
        for parameter in self.parameters:
            flat = parameter.grad.reshape(-1)
            flat = flat[torch.isfinite(flat)]
            low, high = flat.min().item(), flat.max().item()
            torch.histc(flat, bins=64, min=low, max=high).tolist()

    def close(self):
        pass


class ItemPerParameter:
    """norm().item() of each parameter, as training loops do by hand."""

    def __init__(self, model, optimizer, run):
        self.parameters = list(model.parameters())

    def before_step(self, loss):
        for parameter in self.parameters:
            parameter.grad.norm().item()

    def close(self):
        pass


WAYS = {
    "training alone": Nothing,
    "gradflow": Gradflow,
    "gradflow, norms alone": GradflowNorms,
    "histograms": Histograms,
    "norm().item()": ItemPerParameter,
}


class Trained:
    """A model of its own under one way of watching."""

    def __init__(self, way: str, parameters: int):
        torch.manual_seed(parameters)
        self.model = DistributedDataParallel(Layers(parameters))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.watch = WAYS[way](self.model, self.optimizer, f"cost-{parameters}-{way}")
        self.step_seconds: list[float] = []
        self.call_seconds: list[float] = []

    def step(self, x: torch.Tensor, counts: bool) -> None:
        dist.barrier()
        start = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss = (self.model(x) - 1).square().mean()
        loss.backward()
        called = time.perf_counter()
        self.watch.before_step(loss)
        returned = time.perf_counter()
        self.optimizer.step()
        end = time.perf_counter()
        if counts:
            self.step_seconds.append(end - start)
            self.call_seconds.append(returned - called)


def rank(index: int, store: str, sizes: list[int], steps: int, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=index, world_size=RANKS)
    results = {}
    for parameters in sizes:
        ways = {way: Trained(way, parameters) for way in WAYS}
        generator = torch.Generator().manual_seed(index)
        for done in range(0, WARM_UP + steps, TURN):
            for trained in ways.values():
                for i in range(TURN):
                    x = torch.randn(8, WIDTH, generator=generator)
                    trained.step(x, counts=done + i >= WARM_UP)
            if index == 0:
                print(f"\r{parameters} parameters: step {done + TURN} of {WARM_UP + steps}", end="", file=sys.stderr)
        for way, trained in ways.items():
            trained.watch.close()
            measured = torch.tensor([trained.step_seconds, trained.call_seconds], dtype=torch.float64)
            dist.all_reduce(measured, op=dist.ReduceOp.MAX)
            results[f"{parameters}|{way}"] = measured.tolist()
    if index == 0:
        print(file=sys.stderr)
        with open(out, "w", encoding="utf-8") as file:
            json.dump(results, file)
    dist.destroy_process_group()


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="gradflow bench trainers", description=__doc__.split("\n\n")[0])
    parser.add_argument("--parameters", default="30,700,2000", help="sizes of the model in parameter tensors")
    parser.add_argument("--steps", type=int, default=1000, help="measured steps of each way (default 1000)")
    parser.add_argument(
        "--bootstrap-servers",
        default="127.0.0.1:9",
        help="where gradflow publishes; by default no broker answers there, and the queue is full for most of the time",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.parameters.split(",")]
    os.environ["GRADFLOW_BOOTSTRAP_SERVERS"] = arguments.bootstrap_servers
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "result.json")
        mp.spawn(rank, args=(os.path.join(folder, "store"), sizes, arguments.steps, out), nprocs=RANKS)
        with open(out, encoding="utf-8") as file:
            results = json.load(file)
    rows = []
    for parameters in sizes:
        alone = results[f"{parameters}|training alone"][0]
        for way in WAYS:
            steps, calls = results[f"{parameters}|{way}"]
            rows.append(
                {
                    "parameters": parameters,
                    "way": way,
                    "stepMedianMs": 1e3 * statistics.median(steps),
                    "addedMedianMs": 1e3 * (statistics.median(steps) - statistics.median(alone)),
                    "addedP999Ms": 1e3 * (quantile(steps, 0.999) - quantile(alone, 0.999)),
                    "callMedianMs": 1e3 * statistics.median(calls),
                    "callP999Ms": 1e3 * quantile(calls, 0.999),
                }
            )
    if arguments.format == "json":
        print(json.dumps({"torch": torch.__version__, "ranks": RANKS, "device": "cpu", "rows": rows}))
        return
    print(f"torch {torch.__version__}, {RANKS} ranks over gloo, cpu, one thread each; ms, the slowest rank of each step")
    print(f"{'parameters':>10}  {'way':<22} {'step':>8} {'added':>8} {'p99.9':>8}   {'call':>8} {'p99.9':>8}")
    for row in rows:
        print(
            f"{row['parameters']:>10}  {row['way']:<22} {row['stepMedianMs']:>8.3f} {row['addedMedianMs']:>8.3f}"
            f" {row['addedP999Ms']:>8.3f}   {row['callMedianMs']:>8.3f} {row['callP999Ms']:>8.3f}"
        )


if __name__ == "__main__":
    main()
