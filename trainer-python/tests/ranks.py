"""Two processes that stand in for two ranks; each scenario gets a process group of its own."""

from __future__ import annotations

import datetime
import importlib
import os
import sys
import tempfile
import traceback
from typing import Any, Callable, List

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

SECONDS = 120.0


def _serve(rank: int, size: int, pipe: Any) -> None:
    sys.path.insert(0, os.path.dirname(__file__))
    torch.set_num_threads(1)
    while True:
        task = pipe.recv()
        if task is None:
            return
        module, name, store, arguments = task
        try:
            wait = datetime.timedelta(seconds=60)
            dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=wait)
            try:
                torch.manual_seed(17)
                result = getattr(importlib.import_module(module), name)(rank, *arguments)
                dist.barrier()
            finally:
                dist.destroy_process_group()
            pipe.send((True, result))
        except BaseException:
            pipe.send((False, traceback.format_exc()))


class Ranks:
    def __init__(self, size: int = 2) -> None:
        context = mp.get_context("spawn")
        self._pipes: List[Any] = []
        self._processes: List[Any] = []
        for rank in range(size):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(rank, size, there), daemon=True)
            process.start()
            self._pipes.append(here)
            self._processes.append(process)

    def run(self, scenario: Callable[..., Any], *arguments: Any) -> List[Any]:
        """What the scenario returns, called with the rank and the arguments on each rank."""
        with tempfile.TemporaryDirectory() as folder:
            for pipe in self._pipes:
                pipe.send((scenario.__module__, scenario.__name__, os.path.join(folder, "store"), arguments))
            answers = []
            for rank, pipe in enumerate(self._pipes):
                assert pipe.poll(SECONDS), f"rank {rank} has not answered within {SECONDS:g} s"
                answers.append(pipe.recv())
        failures = [f"rank {rank}:\n{text}" for rank, (well, text) in enumerate(answers) if not well]
        assert not failures, "\n".join(failures)
        return [result for _, result in answers]

    def close(self) -> None:
        for pipe, process in zip(self._pipes, self._processes):
            try:
                pipe.send(None)
            except OSError:
                pass
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join(10)
