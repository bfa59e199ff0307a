"""How confluent-kafka, any release from 1.7 on, is used here."""

from __future__ import annotations

import ctypes
import logging
from typing import Any, Dict, Mapping

from gradflow.complaints import LOG, Complaints


def new_producer(configuration: Mapping[str, Any]) -> Any:
    """A ``Producer``. Imported not before it is used: that takes its time, and its threads do not survive a fork."""
    from confluent_kafka import Producer

    return Producer(dict(configuration))


def new_consumer(configuration: Mapping[str, Any]) -> Any:
    """A ``Consumer``, likewise."""
    from confluent_kafka import Consumer

    return Consumer(dict(configuration))


def producer_configuration(bootstrap_servers: str, client_id: str, kafka: Mapping[str, str]) -> Dict[str, Any]:
    """librdkafka's properties for a publisher; those in ``kafka`` go before its own."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": client_id,
        # Java's: all records of one rank share a partition with those that a JVM trainer would send.
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 5,
        # A broker that restarts is back within a minute. Until then records wait in the producer.
        "message.timeout.ms": 120_000,
        "request.timeout.ms": 10_000,
        "queue.buffering.max.kbytes": 16 << 10,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        "log.connection.close": False,
        "log_level": 4,
        **kafka,
    }


def never_destroy(client: Any) -> None:
    """Keeps a client for ever: destroying it would wait, in a forked child for threads that the child does not have."""
    if client is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


def is_fatal(failure: Exception) -> bool:
    """Whether not the record but the producer is broken, and stays so."""
    for what in (failure, *failure.args[:1]):
        fatal = getattr(what, "fatal", None)
        if fatal is not None and fatal():
            return True
    return False


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
