from __future__ import annotations

import os
import sys
from typing import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The kernels are run by Triton's interpreter, on the CPU. It is chosen when they are first imported.
os.environ["TRITON_INTERPRET"] = "1"
sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture(scope="session")
def ranks() -> Iterator[object]:
    pytest.importorskip("torch.distributed")
    from ranks import Ranks

    both = Ranks(2)
    yield both
    both.close()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GRADFLOW_"):
            monkeypatch.delenv(name)
