"""Reads what the jobs find out about a run while it runs, and does something about it if it is told to."""

from __future__ import annotations

import collections
import os
import threading
import weakref
from dataclasses import dataclass, fields
from typing import Any, Callable, Collection, Deque, Dict, List, Mapping, Optional, Tuple, Union

from gradflow import wire
from gradflow.complaints import LOG, Complaints
from gradflow.kafka import ClientLog, never_destroy, new_consumer
from gradflow.options import Options

#: From the least to the most urgent: advice; somebody should look today; the on-call engineer now.
SEVERITIES = ("INFO", "WARNING", "CRITICAL")

_SCHEMAS = ("GradientAlert", "GradientAlert-0.1.0")
_ANSWER_S = 1.0
_POLL_S = 0.1
_RETRY_S = 1.0
# The clock that stamps alerts may be behind the one that stamped the attempt.
_CLOCKS_APART_MS = 600_000
#: Kafka's word for the time after the last record.
_END = -1
_MAX_REMEMBERED = 10_000
_MAX_PENDING = 1_000


@dataclass(frozen=True)
class Suspect:
    """Somebody to look at; the larger the score the more suspect, within one incident."""

    layer: Optional[str]
    rank: Optional[int]
    score: float
    host: Optional[str] = None
    device: Optional[str] = None


@dataclass(frozen=True)
class Link:
    """One finding of what followed from the cause."""

    step: int
    kind: str
    layer: Optional[str]
    rank: Optional[int]
    observed: float


@dataclass(frozen=True)
class Evidence:
    """Why the detector spoke; the tail is aligned with its steps, oldest first, NaN where there was no value."""

    observed: float
    threshold: float
    unit: str
    tail_steps: Tuple[int, ...] = ()
    tail: Tuple[float, ...] = ()


@dataclass(frozen=True)
class Alert:
    """What is published of an incident at one transition. What each field means is said in ``GradientAlert.avsc``."""

    alert_id: str
    incident_id: str
    transition: int
    run_id: str
    attempt: int
    stream: str
    state: str
    kind: str
    severity: str
    opened_step: int
    last_step: int
    onset_step: int
    message: str
    resolved_step: Optional[int] = None
    root_layer: Optional[str] = None
    root_rank: Optional[int] = None
    host: Optional[str] = None
    device: Optional[str] = None
    suspects: Tuple[Suspect, ...] = ()
    chain: Tuple[Link, ...] = ()
    evidence: Optional[Evidence] = None
    advice: Optional[str] = None
    blind_spots: Tuple[str, ...] = ()
    confidence: Optional[float] = None
    policy_version: int = 0
    timed: bool = False
    detected_at: int = 0
    cause: Optional[str] = None
    account: str = ""
    loss_before: Optional[float] = None
    loss_after: Optional[float] = None
    changes: Tuple[str, ...] = ()
    last_good_step: Optional[int] = None
    last_checkpoint: Optional[int] = None
    next_action: Optional[str] = None


def decode_alert(value: Optional[bytes]) -> Alert:
    """The alert of a record's value, of this release or an earlier one.

    Raises wire.Unreadable, saying what was expected.
    """
    row = _known(Alert, wire.read(value, _SCHEMAS))
    row["suspects"] = tuple(Suspect(**_known(Suspect, suspect)) for suspect in row.get("suspects", ()))
    row["chain"] = tuple(Link(**_known(Link, link)) for link in row.get("chain", ()))
    if row.get("evidence") is not None:
        evidence = _known(Evidence, row["evidence"])
        evidence.update(tail_steps=tuple(evidence["tail_steps"]), tail=tuple(evidence["tail"]))
        row["evidence"] = Evidence(**evidence)
    for name in ("blind_spots", "changes"):
        row[name] = tuple(row.get(name, ()))
    return Alert(**row)


def _known(of: Any, row: Mapping[str, Any]) -> Dict[str, Any]:
    known = {field.name for field in fields(of)}
    spelled = {wire.snake_case(name): value for name, value in row.items()}
    return {name: value for name, value in spelled.items() if name in known}


@dataclass(frozen=True)
class Action:
    """What to do about an incident once, when it first is as severe as ``severity`` and of one of ``kinds``.

    call: takes the `Alert`. severity: WARNING means WARNING or CRITICAL. kinds: e.g. ``{"NON_FINITE"}``; None: all.
    """

    call: Callable[[Alert], object]
    severity: str = "CRITICAL"
    kinds: Optional[Collection[str]] = None

    def __post_init__(self) -> None:
        if not callable(self.call):
            raise ValueError(f"actions: expected a function of an alert, got {self.call!r}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"actions: expected a severity of {', '.join(SEVERITIES)}, got {self.severity!r}")
        if self.kinds is not None:
            if isinstance(self.kinds, str):
                raise ValueError(f"actions: expected a set of kinds, got the text {self.kinds!r}")
            object.__setattr__(self, "kinds", frozenset(self.kinds))

    def concerns(self, alert: Alert) -> bool:
        """Whether the alert is of an incident under way that this is for."""
        severe = alert.severity in SEVERITIES and SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.severity)
        return severe and alert.state in ("OPENED", "UPDATED") and (self.kinds is None or alert.kind in self.kinds)


@dataclass(frozen=True)
class Due:
    """An action to be done now: call it, at a place in the training loop where that is safe."""

    name: str
    alert: Alert
    action: Action

    def __call__(self) -> object:
        """Does it; what the action raises is raised here, in the caller's thread."""
        return self.action.call(self.alert)


class Follower:
    """Follows the alerts of one run on a daemon thread; made by `follow`.

    Guarantees: each transition of an incident is told once, in the order of the topic; nothing the user's functions
    raise ends the following; `close` returns in time whatever Kafka does. After an outage it goes on where it was. A
    forked child follows nothing.
    """

    def __init__(
        self,
        options: Options,
        attempt: Optional[int],
        stream: Optional[str],
        on_alert: Optional[Callable[[Alert], object]],
        actions: Mapping[str, Action],
        dry_run: bool,
        poll_in_loop: bool,
        consumer_factory: Callable[[Mapping[str, Any]], Any],
    ) -> None:
        self._options = options
        self._attempt = attempt
        self._stream = stream
        self._on_alert = on_alert
        self._actions = dict(actions)
        self._dry_run = dry_run
        self._poll_in_loop = poll_in_loop
        self._consumers = consumer_factory
        self._who = f"gradflow follower of run {options.run}"
        self._complaints = Complaints(self._who)
        self._closed = threading.Event()
        self._consumer: Any = None
        self._broken = False
        self._positions: Dict[int, int] = {}
        self._told: collections.OrderedDict[Tuple[str, Union[int, str]], None] = collections.OrderedDict()
        self._pending: Deque[Due] = collections.deque()
        self._unreadable = 0
        self._thread: Optional[threading.Thread] = None
        if options.enabled:
            _followers.add(self)
            self._thread = threading.Thread(target=self._run, name=self._who, daemon=True)
            self._thread.start()

    def pending(self) -> List[Due]:
        """The actions that became due since the last call, oldest first: call each of them.

        Empty in a dry run, and if actions are done on the follower's own thread. Takes no time; never waits.
        """
        due: List[Due] = []
        while self._pending:
            due.append(self._pending.popleft())
        return due

    @property
    def unreadable(self) -> int:
        """Alerts of the run that were skipped because this release cannot read them."""
        return self._unreadable

    def close(self, timeout: float = 2.0) -> None:
        """Stops following, after ``timeout`` seconds at the latest. A second call does nothing."""
        self._closed.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- On the thread ---

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if self._consumer is None:
                    self._connect()
                message = self._consumer.poll(_POLL_S)
                if message is not None:
                    self._take(message)
                if self._broken:
                    raise RuntimeError("the connection is broken")
            except Exception as e:
                where = self._options.bootstrap_servers
                self._complaints.about(f"alerts cannot be read from Kafka at {where}", e)
                self._disconnect()
                self._closed.wait(_RETRY_S)
        self._disconnect()

    def _connect(self) -> None:
        """Assigns all partitions, from where reading ended, or begins."""
        from confluent_kafka import TopicPartition

        self._broken = False
        self._consumer = self._consumers(self._configuration())
        topic = self._consumer.list_topics(wire.ALERTS, timeout=_ANSWER_S).topics.get(wire.ALERTS)
        if topic is None or topic.error is not None or not topic.partitions:
            error = "is not there" if topic is None or topic.error is None else topic.error
            raise RuntimeError(f"topic {wire.ALERTS}: {error}: create the topics")
        for partition in topic.partitions:
            if partition not in self._positions:
                self._positions[partition] = self._first_offset(TopicPartition, partition)
        self._consumer.assign([TopicPartition(wire.ALERTS, *position) for position in self._positions.items()])

    def _first_offset(self, topic_partition: Any, partition: int) -> int:
        if self._attempt is not None:
            found = self._offset_at(topic_partition, partition, max(0, self._attempt - _CLOCKS_APART_MS))
            if found >= 0:
                return found
        # By number: what comes from now on is read even if the connection ends before the first record.
        return self._offset_at(topic_partition, partition, _END)

    def _offset_at(self, topic_partition: Any, partition: int, since: int) -> int:
        """The first offset of that time or later, -1 if there is none."""
        # Not get_watermark_offsets: that of confluent-kafka 1.7 asks in a way that Kafka 4 no longer answers.
        asked = [topic_partition(wire.ALERTS, partition, since)]
        (found,) = self._consumer.offsets_for_times(asked, timeout=_ANSWER_S)
        if found.error is not None:
            raise RuntimeError(f"partition {partition} of {wire.ALERTS}: {found.error}")
        return int(found.offset)

    def _configuration(self) -> Dict[str, Any]:
        return {
            "bootstrap.servers": self._options.bootstrap_servers,
            "client.id": "gradflow-follower",
            # Needed by the client and never joined: partitions are assigned, and nothing is committed.
            "group.id": "gradflow-follower",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "socket.keepalive.enable": True,
            "reconnect.backoff.max.ms": 2_000,
            "log.connection.close": False,
            "log_level": 4,
            "error_cb": self._failed,
            "logger": ClientLog(self._complaints),
            **self._options.kafka,
        }

    def _failed(self, error: Any) -> None:
        if error.fatal():
            self._broken = True
        self._complaints.about("Kafka's client says", error)

    def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            try:
                consumer.close()
            except Exception as e:
                self._complaints.about("Kafka's client says", e)

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                self._broken = True
            self._complaints.about(f"topic {wire.ALERTS}", error)
            return
        self._positions[message.partition()] = message.offset() + 1
        # By the key, so that an alert of another run need not be readable.
        if message.key() != wire.key(self._options.run):
            return
        try:
            alert = decode_alert(message.value())
        except Exception as e:
            self._unreadable += 1
            where = f"{wire.ALERTS}-{message.partition()}@{message.offset()}"
            cause = str(e) if isinstance(e, wire.Unreadable) else e
            self._complaints.about(f"{where} is skipped, {self._unreadable} so far", cause)
            return
        if alert.run_id != self._options.run:
            return
        if self._attempt is not None and alert.attempt != self._attempt:
            return
        if self._stream is not None and alert.stream != self._stream:
            return
        if self._remember((alert.incident_id, alert.transition)):
            self._tell(alert)

    def _tell(self, alert: Alert) -> None:
        if self._on_alert is not None:
            self._call("on_alert", self._on_alert, alert)
        for name, action in self._actions.items():
            if not action.concerns(alert) or not self._remember((alert.incident_id, f"action {name}")):
                continue
            if self._dry_run:
                LOG.warning(
                    "%s: dry run, would have done %s at step %s: %s", self._who, name, alert.last_step, alert.message
                )
            elif self._poll_in_loop:
                if len(self._pending) == _MAX_PENDING:
                    self._complaints.about("an action is dropped", "nobody calls pending()")
                    self._pending.popleft()
                self._pending.append(Due(name, alert, action))
            else:
                self._call(name, action.call, alert)

    def _call(self, name: str, function: Callable[[Alert], object], alert: Alert) -> None:
        try:
            function(alert)
        except Exception:
            LOG.exception("%s: %s failed on alert %s, following goes on", self._who, name, alert.alert_id)

    def _remember(self, what: Tuple[str, Union[int, str]]) -> bool:
        """Whether it is new; the oldest are forgotten."""
        if what in self._told:
            return False
        self._told[what] = None
        if len(self._told) > _MAX_REMEMBERED:
            self._told.popitem(last=False)
        return True

    def _abandon(self) -> None:
        """In a forked child, which has neither the thread nor those of the client."""
        self._closed.set()
        self._thread = None
        self._pending.clear()
        never_destroy(self._consumer)


_followers: weakref.WeakSet[Follower] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for follower in list(_followers):
        follower._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def follow(
    run: Optional[str] = None,
    bootstrap_servers: Optional[str] = None,
    on_alert: Optional[Callable[[Alert], object]] = None,
    actions: Optional[Mapping[str, Union[Action, Callable[[Alert], object]]]] = None,
    *,
    attempt: Optional[int] = None,
    stream: Optional[str] = None,
    dry_run: bool = True,
    poll_in_loop: bool = True,
    kafka: Optional[Mapping[str, str]] = None,
    consumer_factory: Optional[Callable[[Mapping[str, Any]], Any]] = None,
) -> Follower:
    """Follows the alerts of a run: tells ``on_alert`` every transition, and has ``actions`` done if ``dry_run=False``.

    run, bootstrap_servers, attempt, kafka: as in `Options`; from the environment where they are None.
    on_alert: called with an `Alert` on the follower's thread, whatever the severity. It may log and page; it must not
      touch model or optimizer, which the training is using meanwhile.
    actions: by a name of your choice, e.g. ``stop``, ``skip_step``, ``lower_rate``, ``save_checkpoint``: an `Action`,
      or a function of an alert, which then is for CRITICAL alerts. Each is done once for an incident.
    attempt, stream: only alerts of these. With an attempt, reading begins with the attempt, so that what was found
      before this call is told, too; without one, with what is published from now on.
    dry_run: True: the log says what would have been done, and nothing is.
    poll_in_loop: True: `Follower.pending` hands out what is due, and the training loop does it between two steps::

          for due in follower.pending():
              due()

      False: the follower's thread calls the actions at once, which is safe only for those that touch nothing of the
      training (a page, a flag).

    With several ranks let one follow and tell the others, e.g. by a broadcast: ranks that stop or skip by themselves
    leave the others waiting in a collective operation.

    Raises ValueError if what is needed is missing or wrong. Whatever happens afterwards raises nothing.
    """
    options = Options.from_environment(
        run=run, bootstrap_servers=bootstrap_servers, attempt=attempt, kafka=kafka, rank=0, world_size=1
    )
    if options.enabled and not options.bootstrap_servers.strip():
        raise ValueError("bootstrap_servers: expected host:port,..., got none: an agent publishes, it reads no alerts")
    said_attempt = attempt is not None or bool(os.environ.get("GRADFLOW_ATTEMPT", "").strip())
    chosen = {
        name: action if isinstance(action, Action) else Action(action) for name, action in (actions or {}).items()
    }
    return Follower(
        options,
        options.attempt if said_attempt else None,
        stream,
        on_alert,
        chosen,
        dry_run,
        poll_in_loop,
        consumer_factory or new_consumer,
    )
