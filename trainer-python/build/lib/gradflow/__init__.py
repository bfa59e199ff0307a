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

from typing import Any

from gradflow.watching import Watch, watch

__all__ = ["Watch", "follow", "watch"]


def follow(*args: Any, **kwargs: Any) -> Any:
    """See `gradflow.alerts.follow`."""
    from gradflow.alerts import follow as following

    return following(*args, **kwargs)
