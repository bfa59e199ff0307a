"""The log: a dead broker must not fill the trainer's."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Callable

LOG = logging.getLogger("gradflow")

_SILENCE_S = 60.0


class Complaints:
    """Logs what went wrong as a warning, at most once a minute, and says how many it kept to itself."""

    def __init__(self, who: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._who = who
        self._clock = clock
        self._lock = threading.RLock()
        self._silent_until = -1.0
        self._unlogged = 0

    def about(self, what: str, cause: object) -> None:
        """Says it, unless something was said within the last minute."""
        with self._lock:
            now = self._clock()
            if now < self._silent_until:
                self._unlogged += 1
                return
            unlogged, self._unlogged = self._unlogged, 0
            self._silent_until = now + _SILENCE_S
        since = f"; {unlogged} unlogged before this one" if unlogged else ""
        LOG.warning("%s: %s: %s (further ones unlogged for 1 min%s)", self._who, what, said(cause), since)


def said(cause: object) -> str:
    """A cause in one line; an exception with its class where its text alone says too little."""
    text = str(cause)
    if isinstance(cause, BaseException) and not text.startswith(type(cause).__name__):
        text = f"{type(cause).__name__}: {text}" if text else type(cause).__name__
    return " ".join(text.split())


class ClientLog:
    """Takes the log lines of librdkafka: what is wrong as a complaint, the rest for those who debug."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints

    def log(self, level: int, text: str, *arguments: Any, **_: Any) -> None:
        """As ``logging.Logger.log``, which confluent-kafka calls."""
        line = text % arguments if arguments else text
        if level >= logging.WARNING:
            self._complaints.about("Kafka's client says", line)
        else:
            LOG.debug("%s", line)
