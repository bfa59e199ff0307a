"""Who publishes, where to, and what beside norms."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Dict, FrozenSet, Mapping, Optional, Tuple

#: What can be measured beside norms; columns of a group come and cost together.
GROUPS = ("moments", "histogram", "sketch", "hash", "weights", "dots")

_PREFIX = "GRADFLOW_"
_KAFKA_PREFIX = _PREFIX + "KAFKA_"
_MAX_NAME_LENGTH = 500
_MAX_QUEUE = 100_000
_MAX_INT = (1 << 31) - 1
_MAX_LONG = (1 << 63) - 1


@dataclass(frozen=True)
class Signals:
    """Which signals are measured beside norms, and in which steps: those where ``step % every[group] == 0``.

    A group that is not in ``every`` is not measured.
    """

    every: Mapping[str, int] = field(default_factory=lambda: {"moments": 1, "histogram": 10, "weights": 1})

    def __post_init__(self) -> None:
        for group, steps in self.every.items():
            if group not in GROUPS:
                raise ValueError(f"signals: expected groups of {', '.join(GROUPS)}, got {group!r}")
            if not isinstance(steps, int) or steps < 1:
                raise ValueError(f"signals: expected {group} every 1 step or more, got {steps!r}")
        object.__setattr__(self, "every", MappingProxyType(dict(self.every)))

    @classmethod
    def parse(cls, text: str) -> Signals:
        """The signals that a text says: ``none``, or groups with commas between them, ``:n`` for every n-th step.

        E.g. ``moments,histogram:10,sketch:50``. Raises ValueError saying what was expected.
        """
        every: Dict[str, int] = {}
        for entry in [] if text.strip() == "none" else text.split(","):
            match = re.fullmatch(r"\s*(\w+)\s*(?::\s*(\d{1,9})\s*)?", entry)
            group = match.group(1) if match else ""
            steps = int(match.group(2) or 1) if match else 0
            if group not in GROUPS or group in every or steps < 1:
                raise ValueError(
                    f"signals: expected none, or each once of {', '.join(GROUPS)} with commas between them, "
                    f":n for every n-th step, got {text!r}"
                )
            every[group] = steps
        return cls(every)

    def due(self, step: int) -> FrozenSet[str]:
        """The groups to be measured in that step."""
        return frozenset(group for group, steps in self.every.items() if step % steps == 0)


@dataclass(frozen=True)
class Options:
    """Who publishes, and where to. Validated; errors say which option, what was expected and what came.

    bootstrap_servers: of Kafka, ``host:port,...``; may be empty with an ``agent``.
    run: name of the run, 1 to 500 characters.
    attempt: start of this attempt in ms since the epoch, the same on all ranks: decide it once and share it.
    rank, world_size: of this process among all of the training.
    stream: one per optimiser or model, 1 to 500 characters.
    coords: the rank's coordinates along the manifest's mesh; None: as the model's layout says.
    host, device: where the rank runs; None: unknown.
    queue: how many shards may wait for Kafka, 1 to 100,000; beyond that the oldest is dropped.
    every: one step in so many is published.
    enabled: False: nothing is measured or sent.
    agent: where ``gradflow-agent`` listens, ``unix:/path`` or ``127.0.0.1:port``; None: the rank has its own connection.
    kafka: further properties of librdkafka, e.g. for security; these go before the publisher's own.
    """

    bootstrap_servers: str
    run: str
    attempt: int
    rank: int
    world_size: int
    stream: str = "main"
    coords: Optional[Tuple[int, ...]] = None
    host: Optional[str] = None
    device: Optional[str] = None
    queue: int = 256
    every: int = 1
    signals: Signals = field(default_factory=Signals)
    enabled: bool = True
    agent: Optional[str] = None
    kafka: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.enabled:
            _require(_is_name(self.run), "run", f"a name of 1 to {_MAX_NAME_LENGTH} characters", self.run)
            if self.agent is None:
                servers = self.bootstrap_servers
                _require(isinstance(servers, str) and servers.strip(), "bootstrap_servers", "host:port,...", servers)
            else:
                address(self.agent, "agent")
        _require(_is_name(self.stream), "stream", f"a name of 1 to {_MAX_NAME_LENGTH} characters", self.stream)
        _require_number("attempt", self.attempt, 0, _MAX_LONG)
        _require_number("world_size", self.world_size, 1, _MAX_INT)
        _require_number("rank", self.rank, 0, self.world_size - 1)
        if self.coords is not None:
            for coordinate in self.coords:
                _require_number("coords", coordinate, 0, _MAX_INT)
            object.__setattr__(self, "coords", tuple(self.coords))
        _require_number("queue", self.queue, 1, _MAX_QUEUE)
        _require_number("every", self.every, 1, _MAX_INT)
        _require(isinstance(self.signals, Signals), "signals", "Signals", self.signals)
        object.__setattr__(self, "kafka", MappingProxyType(dict(self.kafka)))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Options:
        """The options that an environment sets, keywords that are not None going before it.

        ``GRADFLOW_BOOTSTRAP_SERVERS`` (or ``GRADFLOW_AGENT``), ``GRADFLOW_RUN`` and, with several ranks,
        ``GRADFLOW_ATTEMPT`` are needed. The rank is ``GRADFLOW_RANK``, torchrun's ``RANK`` or ``SLURM_PROCID``, else 0;
        the world size likewise ``GRADFLOW_WORLD_SIZE``, ``WORLD_SIZE`` or ``SLURM_NTASKS``, else 1.
        ``GRADFLOW_STREAM``, ``_COORDS`` (``0,3``), ``_HOST`` (the host's name by default), ``_DEVICE``, ``_QUEUE``,
        ``_EVERY``, ``_SIGNALS`` (as `Signals.parse` reads it) and ``_ENABLED`` (``0`` or ``false``: off, and nothing
        else is needed) may be set; ``GRADFLOW_KAFKA_SECURITY_PROTOCOL`` sets librdkafka's ``security.protocol``, and so
        on. Values may be texts in keywords, too.

        Raises ValueError naming the variable or keyword that is missing or wrong, TypeError for a keyword that is none.
        """
        unknown = sorted(set(overrides) - {option.name for option in fields(cls)})
        if unknown:
            raise TypeError(f"expected options of {', '.join(f.name for f in fields(cls))}, got {', '.join(unknown)}")
        said = _Said(environ, {name: value for name, value in overrides.items() if value is not None})
        enabled = said.flag("enabled", True)
        agent = said.text("agent", None)
        world_size = said.number("world_size", 1, "WORLD_SIZE", "SLURM_NTASKS")
        attempt = None if enabled and world_size > 1 else int(time.time() * 1000)
        kafka = {**kafka_properties(environ), **said.overrides.get("kafka", {})}
        return cls(
            bootstrap_servers=said.needed("bootstrap_servers", enabled and agent is None),
            run=said.needed("run", enabled),
            attempt=said.number("attempt", attempt),
            rank=said.number("rank", 0, "RANK", "SLURM_PROCID"),
            world_size=world_size,
            stream=said.text("stream", "main") or "",
            coords=said.coords(),
            host=said.text("host", environ.get("HOSTNAME") or socket.gethostname()),
            device=said.text("device", None),
            queue=said.number("queue", 256),
            every=said.number("every", 1),
            signals=said.signals(),
            enabled=enabled,
            agent=agent,
            kafka=kafka,
        )


def kafka_properties(environ: Mapping[str, str]) -> Dict[str, str]:
    """librdkafka's properties of an environment: ``GRADFLOW_KAFKA_SECURITY_PROTOCOL`` is ``security.protocol``."""
    return {
        name[len(_KAFKA_PREFIX) :].lower().replace("_", "."): value
        for name, value in environ.items()
        if name.startswith(_KAFKA_PREFIX)
    }


def address(text: str, option: str) -> Tuple[int, Any]:
    """The socket family and address of ``unix:/path`` or ``127.0.0.1:port``.

    An agent speaks without encryption or passwords, so that only this host may reach it.
    Raises ValueError naming the option.
    """
    expected = "unix:/path, or 127.0.0.1:port or [::1]:port"
    if text.startswith("unix:") and len(text) > len("unix:"):
        _require(hasattr(socket, "AF_UNIX"), option, "127.0.0.1:port: there are no Unix sockets here", text)
        path = text[len("unix:") :]
        # The kernel's limit is 107 bytes, and its own error does not say so.
        _require(len(os.fsencode(path)) <= 107, option, "unix: and a path of at most 107 bytes", text)
        return socket.AF_UNIX, path
    match = re.fullmatch(r"(127\.[0-9.]+|localhost|\[::1\]):(\d{1,5})", text)
    if match is None or int(match.group(2)) > 65_535:
        raise ValueError(f"{option}: expected {expected}, got {text!r}")
    host = "127.0.0.1" if match.group(1) == "localhost" else match.group(1).strip("[]")
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(match.group(2)))


class _Said:
    """What keywords and an environment say, the first of them that says anything."""

    def __init__(self, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> None:
        self._environ = environ
        self.overrides = overrides

    def find(self, option: str, *further: str) -> Tuple[str, Any]:
        """Where it is said and what; None if nowhere."""
        if option in self.overrides:
            return option, self.overrides[option]
        for name in (_PREFIX + option.upper(), *further):
            if self._environ.get(name, "").strip():
                return name, self._environ[name]
        return _PREFIX + option.upper(), None

    def text(self, option: str, fallback: Optional[str]) -> Optional[str]:
        value = self.find(option)[1]
        return fallback if value is None else str(value)

    def needed(self, option: str, needed: bool) -> str:
        name, value = self.find(option)
        if value is None and needed:
            raise ValueError(f"{name}: expected a value, got none: set it, or give {option}=")
        return "" if value is None else str(value)

    def number(self, option: str, fallback: Optional[int], *further: str) -> int:
        name, value = self.find(option, *further)
        if value is None:
            if fallback is None:
                raise ValueError(
                    f"{name}: expected a number, the same on all ranks, got none: set it to the start of the training "
                    f"in ms since the epoch, or give {option}="
                )
            return fallback
        return _number(name, value)

    def flag(self, option: str, fallback: bool) -> bool:
        name, value = self.find(option)
        if value is None or isinstance(value, bool):
            return fallback if value is None else value
        word = str(value).strip().lower()
        _require(word in ("0", "1", "false", "true"), name, "1, 0, true or false", value)
        return word in ("1", "true")

    def coords(self) -> Optional[Tuple[int, ...]]:
        name, value = self.find("coords")
        if not isinstance(value, str):
            return None if value is None else tuple(value)
        return tuple(_number(name, coordinate) for coordinate in value.split(","))

    def signals(self) -> Signals:
        name, value = self.find("signals")
        if value is None or isinstance(value, Signals):
            return Signals() if value is None else value
        try:
            return Signals.parse(str(value))
        except ValueError as e:
            raise ValueError(f"{name}: {str(e)[len('signals: '):]}") from None


def _number(name: str, value: Any) -> int:
    if isinstance(value, int):
        return value
    text = str(value).strip()
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return int(text)


def _is_name(name: Any) -> bool:
    # Counted as the jobs do, in units of UTF-16.
    return isinstance(name, str) and 1 <= len(name.encode("utf-16-le", "surrogatepass")) // 2 <= _MAX_NAME_LENGTH


def _require(valid: Any, option: str, expected: str, got: Any) -> None:
    if not valid:
        raise ValueError(f"{option}: expected {expected}, got {got!r}")


def _require_number(option: str, value: Any, low: int, high: int) -> None:
    valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    _require(valid, option, f"a number of {low} to {high}", value)
