"""Watches the gradients of a distributed PyTorch training while it runs.

::

    watch = gradflow.watch(model, optimizer=optimizer, run="pretrain-7b", bootstrap_servers="kafka:9092")
    for batch in batches:
        loss = model(batch)
        loss.backward()
        watch.before_step(loss=loss)  # before clipping
        optimizer.step()
        optimizer.zero_grad()
    watch.close(finished=True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradflow.alerts import follow
    from gradflow.watching import Watch, watch

__all__ = ["Watch", "follow", "watch"]


def __getattr__(name: str) -> Any:
    # gradflow-agent and followers do without PyTorch, which takes seconds to import.
    if name in ("Watch", "watch"):
        from gradflow import watching

        return getattr(watching, name)
    if name == "follow":
        from gradflow.alerts import follow

        return follow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
