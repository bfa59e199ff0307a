"""What both examples train: a small language model, the language it learns, and what can go wrong with it."""

from __future__ import annotations

import argparse
import json
import os
import signal
from typing import Any, Iterator, List, Optional

import torch
from torch import nn

VOCABULARY, LENGTH, BATCH, WIDTH, BLOCKS = 32, 16, 16, 32, 3


class SmallLanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.mix = nn.Linear(2 * WIDTH, 4 * WIDTH)
        self.out = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        here = self.norm(x)
        before = torch.cat([torch.zeros_like(here[:, :1]), here[:, :-1]], dim=1)
        return x + self.out(torch.nn.functional.gelu(self.mix(torch.cat([here, before], dim=2))))


def batches(rank: int, seed: int) -> Iterator[torch.Tensor]:
    """Sentences, BATCH x (LENGTH + 1): each word follows from the two before it, but for one in ten."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + rank)
    while True:
        words = torch.randint(VOCABULARY, (BATCH, LENGTH + 1), generator=generator)
        chance = torch.rand(BATCH, LENGTH + 1, generator=generator)
        for i in range(2, LENGTH + 1):
            follows = (3 * words[:, i - 1] + words[:, i - 2] + 1) % VOCABULARY
            words[:, i] = torch.where(chance[:, i] < 0.1, words[:, i], follows)
        yield words


def loss_of(model: nn.Module, words: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(model(words[:, :-1]).flatten(0, 1).float(), words[:, 1:].flatten())


def arguments(argv: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches of a step")
    parser.add_argument("--amp", action="store_true", help="compute in bfloat16")
    parser.add_argument("--bf16", action="store_true", help="weights and gradients in bfloat16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", choices=["none", "nan", "exploding", "missing-rank"], default="none")
    parser.add_argument("--fault-rank", type=int, default=1)
    parser.add_argument("--fault-step", type=int, default=100)
    parser.add_argument("--die-at", type=int, help="step at which that rank is killed")
    parser.add_argument("--checkpoint", help="file to go on from, written every 50 steps (DDP)")
    parser.add_argument("--reference", help="file for the norms of each step's gradient, computed in float64")
    parser.add_argument("--run", default=os.environ.get("GRADFLOW_RUN", "small-language-model"))
    parser.add_argument(
        "--bootstrap-servers", default=os.environ.get("GRADFLOW_BOOTSTRAP_SERVERS", "localhost:9092"), help="of Kafka"
    )
    return parser.parse_args(argv)


class Fault:
    """What ``--fault`` does to one rank.

    nan: in one step one element of one layer's local gradient is NaN. exploding: from that step on the loss is 1,000
    times too large. missing-rank: from that step on the rank trains, but publishes no more.
    With ``--die-at`` it is killed in that step. Once torchrun has started all ranks again, nothing happens any more.
    """

    def __init__(self, chosen: argparse.Namespace, rank: int, model: nn.Module) -> None:
        strikes = rank == chosen.fault_rank and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        self._kind = chosen.fault if strikes else "none"
        self._dies_at = chosen.die_at if strikes else None
        self._first = chosen.fault_step
        self._step = 0
        if self._kind == "nan":
            for block in model.modules():
                if isinstance(block, Block):
                    block.mix.register_full_backward_hook(self._poisoned)
                    break

    def begin(self, step: int) -> None:
        self._step = step
        if step == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def factor(self) -> float:
        return 1000.0 if self._kind == "exploding" and self._step >= self._first else 1.0

    def is_silent(self) -> bool:
        return self._kind == "missing-rank" and self._step >= self._first

    def _poisoned(self, module: nn.Module, given: Any, _: Any) -> Any:
        if self._step != self._first or given[0] is None:
            return None
        poisoned = given[0].clone()
        poisoned.view(-1)[0] = float("nan")
        return (poisoned,) + given[1:]


class Checkpoint:
    """Where a training goes on from after a restart: rank 0 writes it, all ranks read it."""

    EVERY = 50

    def __init__(self, path: Optional[str], rank: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._path = path
        self._rank = rank
        self._model = model
        self._optimizer = optimizer

    def restore(self) -> int:
        """The step to begin with."""
        if self._path is None or not os.path.exists(self._path):
            return 0
        kept = torch.load(self._path)
        self._model.load_state_dict(kept["model"])
        self._optimizer.load_state_dict(kept["optimizer"])
        return int(kept["next_step"])

    def save_if_due(self, step: int) -> bool:
        """Whether it holds the training as it is after that step."""
        if self._path is None or (step + 1) % self.EVERY != 0:
            return False
        if self._rank == 0:
            kept = {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict(), "next_step": step + 1}
            torch.save(kept, self._path + ".part")
            os.replace(self._path + ".part", self._path)
        return True


class Reference:
    """Norms of whole gradients in float64, a line of JSON a step; null of a layer that is not finite."""

    def __init__(self, path: Optional[str], rank: int) -> None:
        self._wanted = path is not None
        self._file = open(path, "w") if path is not None and rank == 0 else None

    def write(self, step: int, model: nn.Module, scale: float = 1.0) -> None:
        """To be called by all ranks. scale: what gradients are still multiplied by."""
        if not self._wanted:
            return
        layers = {}
        for name, parameter in model.named_parameters():
            gradient = parameter.grad
            if hasattr(gradient, "full_tensor"):
                gradient = gradient.full_tensor()
            if gradient is not None:
                values = gradient.detach().double().reshape(-1) / scale
                norms = {"l1": values.abs().sum(), "l2": values.norm(), "linf": values.abs().max()}
                finite = bool(torch.isfinite(values).all())
                layers[name] = {norm: float(value) if finite else None for norm, value in norms.items()}
        if self._file is not None:
            self._file.write(json.dumps({"step": step, "layers": layers}) + "\n")
            self._file.flush()
