"""What ranks tell each other before the first step."""

from __future__ import annotations

from typing import Any

import pytest
import torch.distributed as dist

from gradflow import meeting
from gradflow.meeting import Meeting, Word


def in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "_begun", {})
    monkeypatch.setattr(meeting, "_attempts", {})


def met(rank: int, store: Any, restart: int) -> Meeting:
    return Meeting("run", "main", rank, store, {"TORCHELASTIC_RESTART_COUNT": str(restart)})


def test_what_was_told_before_a_restart_is_not_heard_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    store = dist.HashStore()
    told = [Word(1_000, "0", 7), Word(2_000, "0", 7)]

    in_a_new_process(monkeypatch)
    met(0, store, 0).tell(told[0])
    in_a_new_process(monkeypatch)
    assert met(1, store, 0).hear(1.0) == told[0]

    in_a_new_process(monkeypatch)
    late = met(1, store, 1)
    with pytest.raises(Exception):
        late.hear(0.1)
    in_a_new_process(monkeypatch)
    met(0, store, 1).tell(told[1])
    assert late.hear(1.0) == told[1]
