"""A training that goes on whatever becomes of the broker, and says how.

Two models of one shape take turns of a quarter of a second, one watched and one not. Each line of standard input
names the phase that begins; the line ``end`` ends the training. Standard output gets one JSON object a line: what each
phase took, and at the end what became of the shards and how long closing took.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time

import torch

import gradflow

TURN_SECONDS = 0.25


def model() -> torch.nn.Module:
    torch.manual_seed(7)
    return torch.nn.Sequential(*(torch.nn.Linear(32, 32) for _ in range(100)))


class Trained:
    def __init__(self, watched: bool):
        self.model = model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)
        self.watch = gradflow.watch(self.model, optimizer=self.optimizer) if watched else None
        self.milliseconds: list[float] = []

    def step(self) -> None:
        start = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.model(torch.ones(4, 32)).square().mean()
        loss.backward()
        if self.watch is not None:
            self.watch.before_step(loss=loss)
        self.optimizer.step()
        self.milliseconds.append(1e3 * (time.perf_counter() - start))


def say(**words: object) -> None:
    print(json.dumps(words), flush=True)


def main() -> None:
    torch.set_num_threads(1)
    phases = ["healthy"]

    def listen() -> None:
        for line in sys.stdin:
            phases.append(line.strip())
        phases.append("end")

    threading.Thread(target=listen, daemon=True).start()
    watched, alone = Trained(watched=True), Trained(watched=False)
    steps = 0
    say(ready=True)
    while phases[0] != "end":
        phase = phases[0]
        watched.milliseconds.clear()
        alone.milliseconds.clear()
        while len(phases) == 1:
            for trained in (watched, alone):
                until = time.perf_counter() + TURN_SECONDS
                while time.perf_counter() < until:
                    trained.step()
        steps += len(watched.milliseconds)
        say(
            phase=phase,
            steps=len(watched.milliseconds),
            watchedMedianMs=statistics.median(watched.milliseconds),
            aloneMedianMs=statistics.median(alone.milliseconds),
            watchedLongestMs=max(watched.milliseconds),
            aloneLongestMs=max(alone.milliseconds),
        )
        phases.pop(0)
    start = time.perf_counter()
    watched.watch.close()
    seconds = time.perf_counter() - start
    stats = watched.watch.stats()
    say(
        closeSeconds=seconds,
        steps=steps,
        handedOver=stats.handed_over,
        sent=stats.sent,
        dropped=stats.dropped,
        failed=stats.failed,
        waiting=stats.waiting,
    )


if __name__ == "__main__":
    main()
