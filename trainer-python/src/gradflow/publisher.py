"""Publishes one rank's manifests, events and shards, from a thread of its own: the only one that ever waits for Kafka.

Nothing is taken from the queue before Kafka has answered once, so that a broker that comes up after the trainer gets
everything the queue holds. Manifests and events that Kafka did not acknowledge are sent again, unless a later one of
their kind was: an old event must not hide a newer one in a compacted topic. The manifest is also sent again after any
loss.
"""

from __future__ import annotations

import atexit
import collections
import os
import threading
import time
from multiprocessing import process, util
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from gradflow import wire
from gradflow.complaints import Complaints
from gradflow.hash64 import manifest_id
from gradflow.kafka import ClientLog, is_fatal, never_destroy, new_producer, producer_configuration
from gradflow.options import Options
from gradflow.records import Manifest, RunEvent, Shard

EVENT_TYPES = frozenset(["STARTED", "EVAL", "CHECKPOINT", "CHANGED", "PAUSED", "RESUMED", "FINISHED"])

_MAX_NOTICES = 1_000
_RETRY_CONNECTING_S = 1.0
_ANSWER_S = 1.0
_IDLE_S = 1.0
_UNDER_WAY_S = 0.02
#: Of the time to close, so much is for sending: the rest is for counting what could not be sent.
_SENDING_SHARE = 0.9

MakeShard = Callable[[], Optional[Shard]]


class Stats(NamedTuple):
    """What became of everything handed over: ``handed_over = sent + dropped + failed + waiting`` at all times.

    sent: acknowledged by Kafka. dropped: shards that gave way to newer ones in a full queue, were left in it at the
    end, or could not be made. failed: taken from the queue and not acknowledged. waiting: in the queue or on their way.
    """

    handed_over: int
    sent: int
    dropped: int
    failed: int
    waiting: int


class _Notice(NamedTuple):
    """A manifest under its id, or an event. ``order`` counts the publisher's notices."""

    order: int
    manifest: Optional[Manifest]
    manifest_id: int
    event: Optional[RunEvent]


class _Entry(NamedTuple):
    """A shard yet to be made, which takes ``room`` of the queue, or a notice."""

    make: Optional[MakeShard]
    room: int
    notice: Optional[_Notice]


class Publisher:
    """Publishes one rank's records.

    Guarantees: nothing here raises, and nothing but `close` waits for Kafka, whether the broker is there, slow or
    dead. What finds no room is counted (`stats`), and the count travels with the next shard. Records of one rank keep
    their order. Nothing connects and no thread starts before the first use; a forked child begins anew, with counts
    and a connection of its own, and what waits stays its parent's. At the end of the process what waits is sent for
    two seconds at most. A process that a signal kills sends nothing more.

    Assumes that one thread at a time hands over; any may read `stats`.

    producer_factory: makes what confluent-kafka's ``Producer`` is, of its configuration; for tests.
    """

    _identified: Optional[Tuple[Manifest, int]]

    def __init__(self, options: Options, producer_factory: Optional[Callable[[Mapping[str, Any]], Any]] = None) -> None:
        self._options = options
        self._producer_factory = producer_factory or _factory(options)
        self._start_afresh()

    def announce(self, manifest: Manifest) -> int:
        """Publishes what the training is made of, and returns the id that shards refer to it by.

        One rank is enough for all that have the same layers; the others `refer` to it. Returns 0, which no reader
        knows, of a manifest that has no id because a field is of a wrong type.
        """
        identified = self.refer(manifest)
        self._put_notice(lambda order: _Notice(order, manifest, identified, None))
        return identified

    def refer(self, manifest: Manifest) -> int:
        """The id of a manifest that another rank announces; computed here, about 0.1 ms a layer."""
        if self._identified is None or self._identified[0] is not manifest:
            try:
                self._identified = (manifest, manifest_id(manifest))
            except Exception as e:
                self._complaints.about("a manifest has no id", e)
                return 0
        return self._identified[1]

    def event(self, type: str, step: int, **attributes: str) -> None:
        """Publishes that something happened to the run after ``step``; one rank is enough.

        type: STARTED, EVAL, CHECKPOINT, CHANGED, PAUSED, RESUMED or FINISHED; any other is counted as dropped.
        attributes: details by name, e.g. learningRate, batch, lossScale, schedule, checkpoint; written as texts.
        """

        def notice(order: int) -> _Notice:
            if type not in EVENT_TYPES:
                raise ValueError(f"event: expected a type of {', '.join(sorted(EVENT_TYPES))}, got {type!r}")
            options = self._options
            texts = {name: str(value) for name, value in attributes.items()}
            now = int(time.time() * 1000)
            event = RunEvent(options.run, options.attempt, options.stream, step, type, now, texts)
            return _Notice(order, None, 0, event)

        self._put_notice(notice)

    def offer(self, make: MakeShard, room: int = 1) -> None:
        """Hands over a shard, yet to be made; takes a lock for a moment and returns.

        ``make`` is called on the publisher's thread, which may wait there for a copy from a device. An exception of
        its counts as a drop; None says that there is nothing to publish, and takes the offer back. ``room`` is what
        it takes of the queue's capacity.
        """
        if not self._options.enabled:
            return
        try:
            self._outbox.put_shard(make, room)
            self._sender.start()
        except Exception as e:
            self._complaints.about("a shard cannot be handed over", e)

    def stats(self) -> Stats:
        """What became of everything handed over so far."""
        return self._outbox.stats()

    def close(self, timeout: float = 2.0) -> None:
        """Sends what waits and ends, after ``timeout`` seconds at the latest, broker or not.

        What is left then is counted as dropped or failed. A second call does nothing.
        """
        self._begin_closing(time.monotonic() + timeout)
        self._end_closing(time.monotonic() + timeout)

    def _begin_closing(self, deadline: float) -> None:
        self._sender.close_by(deadline - (deadline - time.monotonic()) * (1 - _SENDING_SHARE))

    def _end_closing(self, deadline: float) -> None:
        self._sender.join(max(0.0, deadline - time.monotonic()))
        self._outbox.discard()
        _open.discard(self)

    def _put_notice(self, make: Callable[[int], _Notice]) -> None:
        if not self._options.enabled:
            return
        try:
            self._notices += 1
            try:
                notice = make(self._notices)
            except Exception as e:
                self._outbox.lost_before_it_began()
                self._complaints.about("a manifest or an event cannot be published", e)
                return
            self._outbox.put_notice(notice)
            self._sender.start()
        except Exception as e:
            self._complaints.about("a manifest or an event cannot be handed over", e)

    def _start_afresh(self) -> None:
        options = self._options
        who = f"gradflow publisher of run {options.run} stream {options.stream} rank {options.rank}"
        self._complaints = Complaints(who)
        self._outbox = _Outbox(options.queue)
        self._sender = _Sender(options, self._outbox, self._producer_factory, self._complaints, who)
        self._identified = None
        self._notices = 0
        _open.add(self)

    def _after_fork_in_child(self) -> None:
        self._sender.abandon()
        self._start_afresh()


# Held until they are closed: what nobody closes is closed at the end of the process.
_open: Set[Publisher] = set()

# Threads that were still at work when their publisher's time to close was over. One that is inside PyTorch when the
# interpreter ends would take the whole process down.
_late: Set[threading.Thread] = set()
_LATE_S = 1.0


def _close_all() -> None:
    deadline = time.monotonic() + 2.0
    left = list(_open)
    for publisher in left:
        publisher._begin_closing(deadline)
    for publisher in left:
        publisher._end_closing(deadline)
    deadline = time.monotonic() + _LATE_S
    while _late:
        _late.pop().join(max(0.0, deadline - time.monotonic()))


def _after_fork_in_child() -> None:
    for publisher in list(_open):
        publisher._after_fork_in_child()


def _close_at_end_of_process(_: object = None) -> None:
    """Processes of multiprocessing, as torch's spawn starts them, end without atexit before Python 3.13."""
    util.Finalize(None, _close_all, exitpriority=100)


atexit.register(_close_all)
if process.parent_process() is not None:
    _close_at_end_of_process()
util.register_after_fork(_close_all, _close_at_end_of_process)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _factory(options: Options) -> Callable[[Mapping[str, Any]], Any]:
    if options.agent is not None:
        from gradflow.agent import AgentLink

        address = options.agent
        return lambda configuration: AgentLink(address)

    return new_producer


class _Outbox:
    """What waits for Kafka, in order, and the count of what became of everything.

    Putting never waits: a shard that finds no room takes the place of the oldest waiting one, so that what is sent
    after an outage is the latest unbroken stretch of the run. Notices are few and are kept, up to a bound of their own.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Reentrant: a signal's handler may hand over while its own thread is in here.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: Deque[_Entry] = collections.deque()
        self._used = 0
        self._notices = 0
        self._closed = False
        self._taken = 0
        self._handed_over = 0
        self._sent = 0
        self._dropped = 0
        self._failed = 0

    def put_shard(self, make: MakeShard, room: int) -> None:
        gone: List[_Entry] = []
        with self._changed:
            self._handed_over += 1
            if self._closed:
                self._dropped += 1
                return
            # One that needs more than there is goes alone.
            while self._used > 0 and self._used + room > self._capacity:
                gone.append(self._drop_oldest_shard())
            self._waiting.append(_Entry(make, room, None))
            self._used += room
            self._changed.notify()
        # What the dropped ones hold is let go of outside the lock.
        del gone

    def put_notice(self, notice: _Notice) -> None:
        with self._changed:
            self._handed_over += 1
            if self._closed or self._notices == _MAX_NOTICES:
                self._dropped += 1
                return
            self._waiting.append(_Entry(None, 0, notice))
            self._notices += 1
            self._changed.notify()

    def lost_before_it_began(self) -> None:
        with self._changed:
            self._handed_over += 1
            self._dropped += 1

    def take(self, at_most: float) -> Optional[_Entry]:
        """The oldest entry, waited for so long; None if there is none, at once if closed."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(at_most)
            if not self._waiting:
                return None
            entry = self._waiting.popleft()
            self._uncount(entry)
            self._taken += 1
            return entry

    def sent(self) -> None:
        """What was taken is acknowledged."""
        with self._changed:
            self._taken -= 1
            self._sent += 1

    def failed(self) -> None:
        """What was taken will not reach Kafka."""
        with self._changed:
            self._taken -= 1
            self._failed += 1

    def dropped(self) -> None:
        """What was taken could not be made."""
        with self._changed:
            self._taken -= 1
            self._dropped += 1

    def withdrawn(self) -> None:
        """What was taken turned out to be nothing."""
        with self._changed:
            self._taken -= 1
            self._handed_over -= 1

    def lost(self) -> int:
        """What will never reach Kafka: carried in every shard as ``dropped``."""
        with self._changed:
            return self._dropped + self._failed

    def stats(self) -> Stats:
        with self._changed:
            waiting = len(self._waiting) + self._taken
            return Stats(self._handed_over, self._sent, self._dropped, self._failed, waiting)

    def close(self) -> None:
        """Takes nothing more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def is_closed(self) -> bool:
        return self._closed

    def await_closed(self, at_most: float) -> None:
        """Waits so long for it to be closed."""
        deadline = time.monotonic() + at_most
        with self._changed:
            while not self._closed and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())

    def discard(self) -> None:
        """Drops what waits."""
        with self._changed:
            self._dropped += len(self._waiting)
            gone = list(self._waiting)
            self._waiting.clear()
            self._used = self._notices = 0
        del gone

    def _drop_oldest_shard(self) -> _Entry:
        at = next(i for i, entry in enumerate(self._waiting) if entry.notice is None)
        entry = self._waiting[at]
        del self._waiting[at]
        self._uncount(entry)
        self._dropped += 1
        return entry

    def _uncount(self, entry: _Entry) -> None:
        if entry.notice is None:
            self._used -= entry.room
        else:
            self._notices -= 1


class _Receipt:
    """Collects the ends of one value's records; exactly one of the two is called when all have ended."""

    def __init__(self, records: int, delivered: Callable[[], None], lost: Callable[[], None]) -> None:
        self._left = records
        self._complete = True
        self._delivered = delivered
        self._lost = lost

    def ended(self, successfully: bool) -> bool:
        """Counts the end of one record; whether it was the last."""
        self._complete &= successfully
        self._left -= 1
        if self._left == 0:
            (self._delivered if self._complete else self._lost)()
        return self._left == 0

    def give_up(self) -> None:
        """Ends all that has not ended."""
        while self._left > 0:
            self.ended(False)


class _Sender:
    """Takes what waits, encodes it and gives it to Kafka.

    All but `start`, `close_by`, `join` and `abandon` happens on its thread, callbacks of the producer included.
    """

    def __init__(
        self,
        options: Options,
        outbox: _Outbox,
        producers: Callable[[Mapping[str, Any]], Any],
        complaints: Complaints,
        name: str,
    ) -> None:
        self._options = options
        self._outbox = outbox
        self._producers = producers
        self._complaints = complaints
        self._name = name
        self._starting = threading.RLock()
        self._thread: Optional[threading.Thread] = None
        self._close_by = float("inf")
        self._producer: Any = None
        self._connected = False
        self._broken = False
        self._under_way: Set[_Receipt] = set()
        self._unacknowledged: Deque[_Notice] = collections.deque()
        self._acknowledged = {"manifest": 0, "event": 0}
        self._announced: Optional[_Notice] = None
        self._lost_some = False
        self._sequence = 0

    # --- From other threads ---

    def start(self) -> None:
        """Starts the thread if it was not."""
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._outbox.is_closed():
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    try:
                        self._thread.start()
                    except BaseException:
                        # The interpreter is shutting down: what waits is counted when the publisher is closed.
                        self._thread = None
                        raise

    def close_by(self, deadline: float) -> None:
        """Sends what waits until that time of the monotonic clock, and ends."""
        self._close_by = min(self._close_by, deadline)
        self._outbox.close()

    def join(self, at_most: float) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(at_most)
            if thread.is_alive():
                _late.add(thread)

    def abandon(self) -> None:
        """Lets go of what belongs to the parent of a forked process."""
        never_destroy(self._producer)

    # --- On the thread ---

    def _run(self) -> None:
        try:
            while time.monotonic() < self._close_by and self._connect():
                entry = self._outbox.take(_UNDER_WAY_S if self._under_way else _IDLE_S)
                self._poll(0)
                self._resend()
                if entry is not None:
                    self._deliver(entry)
                elif self._outbox.is_closed():
                    break
            self._flush()
        except Exception as e:
            self._complaints.about("publishing ends", e)
        finally:
            self._outbox.close()
            producer = self._retire()
            self._outbox.discard()
            for _ in range(len(self._unacknowledged)):
                self._unacknowledged.popleft()
                self._outbox.failed()
            # Everything is counted before this, which may wait for a name to be resolved.
            del producer

    def _connect(self) -> bool:
        """Waits until Kafka has answered once; False if it does not once the outbox is closed."""
        if self._broken:
            self._retire()
        while not self._connected:
            last = self._outbox.is_closed()
            try:
                if self._producer is None:
                    self._producer = self._producers(self._configuration())
                at_most = max(0.0, min(_ANSWER_S, self._close_by - time.monotonic()))
                topics = self._producer.list_topics(wire.SHARDS, timeout=at_most).topics
                error = topics[wire.SHARDS].error if wire.SHARDS in topics else None
                if error is not None:
                    raise RuntimeError(f"topic {wire.SHARDS}: {error}: create the topics")
                self._connected = True
            except Exception as e:
                where = self._options.agent or self._options.bootstrap_servers
                self._complaints.about(f"Kafka at {where} does not answer", e)
                self._poll(0)
                if self._broken:
                    self._retire()
                # Closed while it was waited for: Kafka may have come meanwhile, and is asked once more.
                if last:
                    return False
                self._outbox.await_closed(_RETRY_CONNECTING_S)
        return True

    def _configuration(self) -> Dict[str, Any]:
        options = self._options
        configuration = producer_configuration(
            options.bootstrap_servers, f"gradflow-rank-{options.rank}", options.kafka
        )
        return {"error_cb": self._failed, "logger": ClientLog(self._complaints), **configuration}

    def _failed(self, error: Any) -> None:
        """What the client itself complains of; also called from within `_poll`."""
        if error.fatal():
            self._broken = True
        self._complaints.about("Kafka's client says", error)

    def _deliver(self, entry: _Entry) -> None:
        if entry.notice is not None:
            self._send_notice(entry.notice)
            return
        try:
            shard = entry.make() if entry.make is not None else None
        except Exception as e:
            self._outbox.dropped()
            self._complaints.about("a shard cannot be made", e)
            return
        if shard is None:
            self._outbox.withdrawn()
            return
        made = shard
        sequence, self._sequence = self._sequence, self._sequence + 1

        def lost() -> None:
            self._outbox.failed()
            self._lost_some = True

        self._send(
            lambda: wire.encode_shard(made, int(time.time() * 1000), sequence, self._outbox.lost()),
            self._outbox.sent,
            lost,
        )

    def _resend(self) -> None:
        if self._lost_some and self._announced is not None:
            announced = self._announced
            self._lost_some = False

            def lost() -> None:
                self._lost_some = True

            self._send(lambda: _encoded(announced), lambda: None, lost, counted=False)
        for _ in range(len(self._unacknowledged)):
            notice = self._unacknowledged.popleft()
            if notice.order < self._acknowledged[_kind(notice)]:
                self._outbox.failed()
            else:
                self._send_notice(notice)

    def _send_notice(self, notice: _Notice) -> None:
        def delivered() -> None:
            kind = _kind(notice)
            self._acknowledged[kind] = max(self._acknowledged[kind], notice.order)
            self._outbox.sent()

        if notice.manifest is not None:
            self._announced = notice
        self._send(lambda: _encoded(notice), delivered, lambda: self._unacknowledged.append(notice))

    def _send(
        self,
        encode: Callable[[], List[wire.Record]],
        delivered: Callable[[], None],
        lost: Callable[[], None],
        counted: bool = True,
    ) -> None:
        """Sends the records of one value; exactly one of the two is called when all have ended."""
        try:
            records = encode()
        except Exception as e:
            self._complaints.about("a record cannot be written", e)
            if counted:
                self._outbox.failed()
            return
        receipt = _Receipt(len(records), delivered, lost)
        self._under_way.add(receipt)
        for record in records:
            self._produce(record, receipt)

    def _produce(self, record: wire.Record, receipt: _Receipt) -> None:
        def on_delivery(error: Any, message: Any) -> None:
            self._ended(receipt, error)

        while True:
            if self._producer is None or self._broken:
                self._ended(receipt, "the connection is broken")
                return
            try:
                self._producer.produce(record.topic, record.value, record.key, on_delivery=on_delivery)
                return
            except BufferError as e:
                # The client holds as much as it may: the queue is the place to wait in, and to be dropped from.
                if time.monotonic() >= self._close_by:
                    self._ended(receipt, e)
                    return
                self._poll(_UNDER_WAY_S)
            except Exception as e:
                self._broken = self._broken or is_fatal(e)
                self._ended(receipt, e)
                return

    def _ended(self, receipt: _Receipt, error: Any) -> None:
        if receipt not in self._under_way:
            return
        if error is not None:
            self._complaints.about("Kafka did not take a record", error)
        if receipt.ended(error is None):
            self._under_way.discard(receipt)

    def _poll(self, at_most: float) -> None:
        if self._producer is not None:
            try:
                self._producer.poll(at_most)
            except Exception as e:
                self._broken = self._broken or is_fatal(e)
                self._complaints.about("Kafka's client says", e)

    def _flush(self) -> None:
        """Waits for what is under way, and sends notices again, until the time to close is over."""
        while not self._broken and time.monotonic() < self._close_by:
            if not self._under_way and not self._unacknowledged:
                return
            self._resend()
            self._poll(max(0.0, min(_UNDER_WAY_S, self._close_by - time.monotonic())))

    def _retire(self) -> Any:
        """Ends all that is under way in the producer and returns it, to be destroyed; the next one takes its place."""
        producer, self._producer = self._producer, None
        self._connected = self._broken = False
        if producer is not None:
            try:
                if hasattr(producer, "purge"):
                    producer.purge(blocking=False)
                producer.poll(0)
            except Exception as e:
                self._complaints.about("Kafka's client says", e)
        for receipt in list(self._under_way):
            self._under_way.discard(receipt)
            receipt.give_up()
        return producer


def _encoded(notice: _Notice) -> List[wire.Record]:
    if notice.manifest is not None:
        return wire.encode_manifest(notice.manifest, notice.manifest_id)
    assert notice.event is not None
    return wire.encode_event(notice.event)


def _kind(notice: _Notice) -> str:
    return "event" if notice.manifest is None else "manifest"
