"""What ranks must agree upon before the first step, told by rank 0 through the store they met in; no collective."""

from __future__ import annotations

import datetime
import json
import os
import time
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

import torch

WAIT_S = 60.0


class Word(NamedTuple):
    """What rank 0 says. zeros: layers that begin as zeros, as a hexadecimal bitmap; manifest_id: of its own layers."""

    attempt: int
    zeros: str
    manifest_id: int


# Trainings of one name that this process has begun: each meets under a number of its own.
_begun: Dict[Tuple[str, str], int] = {}
_attempts: Dict[Tuple[str, int], int] = {}


class Meeting:
    """One per `watch`, in the same order on all ranks."""

    def __init__(
        self, run: str, stream: str, rank: int, store: Any, environ: Mapping[str, str] = os.environ
    ) -> None:
        number = _begun[run, stream] = _begun.get((run, stream), -1) + 1
        self._run = run
        self._number = number
        # torchrun may keep its store over restarts: what was told there before must not be heard again.
        restart = environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._key = f"gradflow/{restart}/{run}/{stream}/{number}"
        self._rank = rank
        self._store = store

    @property
    def has_store(self) -> bool:
        return self._store is not None

    def attempt(self, now_ms: Optional[int] = None) -> int:
        """Of rank 0, or of a rank alone: now, the same for all streams of the run."""
        now = int(time.time() * 1000) if now_ms is None else now_ms
        before = _attempts.get((self._run, self._number - 1), -1)
        return _attempts.setdefault((self._run, self._number), max(now, before + 1))

    def tell(self, word: Optional[Word]) -> None:
        """None: rank 0 watches nothing."""
        if self._store is not None and self._rank == 0:
            self._store.set(self._key, json.dumps(None if word is None else word._asdict()))

    def hear(self, seconds: float = WAIT_S) -> Word:
        """Rank 0's word. Raises what the store raises, RuntimeError as a rule, if it does not come in time."""
        self._store.wait([self._key], datetime.timedelta(seconds=seconds))
        told = json.loads(self._store.get(self._key).decode())
        if told is None:
            raise RuntimeError("rank 0 watches nothing; its log says why")
        return Word(**told)

    def is_first(self, subject: str) -> bool:
        """Whether this rank is the first of all that ask."""
        return self._store is None or int(self._store.add(f"{self._key}/{subject}", 1)) == 1


def store_of_all(environ: Mapping[str, str] = os.environ) -> Any:
    """The process group's store, or that of torchrun's agents; None if there is none to be had."""
    distributed: Any = torch.distributed
    if not distributed.is_available():
        return None
    if distributed.is_initialized():
        get = getattr(distributed.distributed_c10d, "_get_default_store", None)
        return None if get is None else get()
    if environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and "MASTER_ADDR" in environ:
        wait = datetime.timedelta(seconds=WAIT_S)
        store = distributed.TCPStore(environ["MASTER_ADDR"], int(environ["MASTER_PORT"]), is_master=False, timeout=wait)
        return distributed.PrefixStore("gradflow", store)
    return None
