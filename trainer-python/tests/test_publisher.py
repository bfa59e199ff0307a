"""That a training notices nothing of its publisher, and that nothing it hands over is lost unnoticed."""

from __future__ import annotations

import io
import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any, Callable, Iterator, List, Optional, Tuple

import fastavro
import numpy as np
import pytest

from gradflow import wire
from gradflow.complaints import Complaints
from gradflow.options import Options
from gradflow.publisher import Publisher, Stats, _close_all
from gradflow.records import Columns, Layer, Manifest, Reporting, Shard

HANG_S = 20.0
NAMES = {
    "gradient-shards": "GradientShard",
    "gradient-manifests": "GradientManifest",
    "gradient-runs": "GradientRunEvent",
}
MANIFEST = Manifest("run", 1, (Layer("a.weight", 4),), 1, (), (Reporting("REDUCED"),))


class Failure(Exception):
    """What confluent-kafka raises, and what it hands to callbacks."""

    def __init__(self, text: str, is_fatal: bool = False) -> None:
        super().__init__(text)
        self._fatal = is_fatal
        self.args = (self,) if is_fatal else (text,)

    def fatal(self) -> bool:
        return self._fatal

    def __str__(self) -> str:
        return "failure"


class Kafka:
    """Makes producers that keep what they are given until the test says what becomes of it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.answers = True
        self.takes = True  # acknowledges what it is given at the next poll
        self.room: Optional[int] = None
        self.refusals: List[Any] = []  # raised by the next calls of produce
        self.losses = 0  # so many records are lost on their way
        self.produced = 0
        self.records: List[Tuple[str, bytes, bytes]] = []  # acknowledged
        self.producers: List[Producer] = []

    def __call__(self, configuration: Any) -> Producer:
        with self.changed:
            producer = Producer(self, configuration)
            self.producers.append(producer)
            return producer

    def set(self, **state: Any) -> None:
        with self.changed:
            for name, value in state.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def await_that(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HANG_S
        with self.changed:
            while not condition():
                assert self.changed.wait(deadline - time.monotonic()), "it did not come to that"

    def values(self, topic: str) -> List[dict]:
        with self.changed:
            return [decoded(topic, value) for of, _, value in self.records if of == topic]


class Metadata:
    topics: dict = {}


class Producer:
    def __init__(self, kafka: Kafka, configuration: Any) -> None:
        self.kafka = kafka
        self.configuration = configuration
        self.held: List[Tuple[str, bytes, bytes, Any]] = []
        self.purged = False
        self.asked = 0

    def list_topics(self, topic: str, timeout: float) -> Metadata:
        with self.kafka.changed:
            self.asked += 1
            self.kafka.changed.notify_all()
            if not self.kafka.answers:
                raise Failure("nobody there")
            return Metadata()

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Any) -> None:
        with self.kafka.changed:
            if self.kafka.refusals:
                raise self.kafka.refusals.pop(0)
            if self.kafka.room is not None and len(self.held) >= self.kafka.room:
                self.kafka.changed.notify_all()
                raise BufferError("queue full")
            self.held.append((topic, key, value, on_delivery))
            self.kafka.produced += 1
            self.kafka.changed.notify_all()

    def poll(self, timeout: float) -> int:
        with self.kafka.changed:
            if not self.kafka.takes and timeout:
                self.kafka.changed.wait(timeout)
            ended, self.held = (self.held, []) if self.kafka.takes else ([], self.held)
            lost, ended = ended[: self.kafka.losses], ended[self.kafka.losses :]
            self.kafka.losses -= len(lost)
            self.kafka.records += [(topic, key, value) for topic, key, value, _ in ended]
        for *_, on_delivery in ended:
            on_delivery(None, None)
        for *_, on_delivery in lost:
            on_delivery(Failure("timed out"), None)
        with self.kafka.changed:
            self.kafka.changed.notify_all()
        return len(ended) + len(lost)

    def purge(self, blocking: bool) -> None:
        self.purged = True
        ended, self.held = self.held, []
        for *_, on_delivery in ended:
            on_delivery(Failure("purged"), None)


def decoded(topic: str, value: bytes) -> dict:
    return fastavro.schemaless_reader(io.BytesIO(value[10:]), fastavro.parse_schema(wire.schema(NAMES[topic])))


def options(**more: Any) -> Options:
    return Options(**{**dict(bootstrap_servers="broker:9092", run="run", attempt=1, rank=2, world_size=4), **more})


def shard(step: int) -> Shard:
    column = np.ones(2, np.float32)
    return Shard("run", 1, "main", step, 2, (2,), 7, "REDUCED", Columns(norm=column, max_abs=column))


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def publishers(kafka: Kafka) -> Iterator[Callable[..., Publisher]]:
    made: List[Publisher] = []

    def make(**more: Any) -> Publisher:
        made.append(Publisher(options(**more), kafka))
        return made[-1]

    yield make
    kafka.set(takes=True, answers=True, room=None)
    for publisher in made:
        publisher.close()
        stats = publisher.stats()
        assert stats.handed_over == stats.sent + stats.dropped + stats.failed + stats.waiting
        assert stats.waiting == 0


def await_stats(publisher: Publisher, condition: Callable[[Stats], bool]) -> Stats:
    deadline = time.monotonic() + HANG_S
    while not condition(publisher.stats()):
        assert time.monotonic() < deadline, publisher.stats()
        threading.Event().wait(0.005)
    return publisher.stats()


# --- The plain way --------------------------------------------------------------------------------------------------


def test_nothing_starts_before_the_first_use(kafka: Kafka, publishers: Any) -> None:
    threads = threading.active_count()
    publisher = publishers()
    assert (threading.active_count(), kafka.producers) == (threads, [])
    publisher.close()
    assert (publisher.stats(), kafka.producers) == (Stats(0, 0, 0, 0, 0), [])


def test_all_arrives_in_order(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    identified = publisher.announce(MANIFEST)
    publisher.event("STARTED", -1, learningRate=0.1)
    for step in range(5):
        publisher.offer(lambda step=step: shard(step))
    publisher.event("FINISHED", 4)
    publisher.close()
    assert publisher.stats() == Stats(8, 8, 0, 0, 0)
    assert [topic for topic, *_ in kafka.records] == [
        *("gradient-manifests", "gradient-runs"),
        *["gradient-shards"] * 5,
        "gradient-runs",
    ]
    assert kafka.values("gradient-manifests")[0]["manifestId"] == identified == publisher.refer(MANIFEST)
    started, finished = kafka.values("gradient-runs")
    assert (started["type"], started["step"], started["attributes"]) == ("STARTED", -1, {"learningRate": "0.1"})
    assert abs(started["at"] - time.time() * 1000) < 60_000
    assert (finished["type"], finished["runId"], finished["attempt"]) == ("FINISHED", "run", 1)
    shards = kafka.values("gradient-shards")
    assert [row["step"] for row in shards] == [0, 1, 2, 3, 4]
    assert [row["producerSeq"] for row in shards] == [0, 1, 2, 3, 4]
    assert {row["dropped"] for row in shards} == {0}
    assert abs(shards[0]["sentAt"] - time.time() * 1000) < 60_000
    assert {key for topic, key, _ in kafka.records if topic == "gradient-shards"} == {b"run|2"}


def test_the_client_is_set_up_as_the_contract_needs_it(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers(kafka={"security.protocol": "SSL", "linger.ms": "50"})
    publisher.offer(lambda: shard(0))
    publisher.close()
    configuration = kafka.producers[0].configuration
    assert configuration["bootstrap.servers"] == "broker:9092"
    assert configuration["partitioner"] == "murmur2_random"
    assert (configuration["enable.idempotence"], configuration["acks"]) == (True, "all")
    assert configuration["message.timeout.ms"] == 120_000
    assert (configuration["linger.ms"], configuration["security.protocol"]) == ("50", "SSL")


def test_what_is_switched_off_does_nothing(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers(enabled=False)
    assert publisher.announce(MANIFEST) == publisher.refer(MANIFEST) != 0
    publisher.event("STARTED", -1)
    publisher.offer(lambda: shard(0))
    publisher.close()
    assert (publisher.stats(), kafka.producers) == (Stats(0, 0, 0, 0, 0), [])


# --- Shards that cannot be made -------------------------------------------------------------------------------------


def test_a_shard_that_cannot_be_made_is_dropped(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    publisher.offer(lambda: 1 / 0)
    publisher.offer(lambda: None)
    publisher.offer(lambda: shard("one"))
    publisher.offer(lambda: shard(3))
    publisher.close()
    assert publisher.stats() == Stats(3, 1, 1, 1, 0)
    (row,) = kafka.values("gradient-shards")
    assert (row["step"], row["dropped"]) == (3, 2)


def test_making_happens_on_a_daemon_thread(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    where: List[threading.Thread] = []
    publisher.offer(lambda: where.append(threading.current_thread()))
    publisher.close()
    assert where[0] is not threading.current_thread() and where[0].daemon


def test_the_end_of_the_process_waits_a_little_for_a_thread_that_is_late(kafka: Kafka, publishers: Any) -> None:
    begun, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Shard:
        begun.set()
        goes_on.wait(30)
        ended.set()
        return shard(0)

    publisher = publishers()
    publisher.offer(slow)
    assert begun.wait(30)
    publisher.close(0.05)
    assert not ended.is_set()
    threading.Timer(0.2, goes_on.set).start()

    _close_all()

    assert ended.is_set()


def test_what_is_wrong_never_raises(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    publisher.event("EXPLODED", 1)
    assert publisher.announce(Manifest("run", 1, (Layer("a", "many"),), 1, (), ())) == 0
    publisher.event("EVAL", "one")
    publisher.close()
    assert publisher.stats() == Stats(3, 0, 1, 2, 0)


# --- The queue ------------------------------------------------------------------------------------------------------


def test_a_full_queue_drops_the_oldest_shards_and_no_notices(kafka: Kafka, publishers: Any) -> None:
    kafka.set(answers=False)
    publisher = publishers(queue=3)
    publisher.announce(MANIFEST)
    for step in range(10):
        publisher.offer(lambda step=step: shard(step))
        if step == 4:
            publisher.event("EVAL", step)
    assert publisher.stats() == Stats(12, 0, 7, 0, 5)
    kafka.set(answers=True)
    await_stats(publisher, lambda stats: stats.sent == 5)
    publisher.close()
    shards = kafka.values("gradient-shards")
    assert [row["step"] for row in shards] == [7, 8, 9]
    assert [row["dropped"] for row in shards] == [7, 7, 7]
    assert len(kafka.values("gradient-manifests")) == len(kafka.values("gradient-runs")) == 1


def test_room_is_counted(kafka: Kafka, publishers: Any) -> None:
    kafka.set(answers=False)
    publisher = publishers(queue=4)
    publisher.offer(lambda: shard(0), room=2)
    publisher.offer(lambda: shard(1), room=2)
    publisher.offer(lambda: shard(2), room=1)  # one gives way
    assert publisher.stats().dropped == 1
    publisher.offer(lambda: shard(3), room=9)  # goes alone
    assert publisher.stats() == Stats(4, 0, 3, 0, 1)
    kafka.set(answers=True)
    await_stats(publisher, lambda stats: stats.sent == 1)
    assert [row["step"] for row in kafka.values("gradient-shards")] == [3]


def test_notices_have_a_bound_of_their_own(kafka: Kafka, publishers: Any) -> None:
    kafka.set(answers=False)
    publisher = publishers()
    for step in range(1_100):
        publisher.event("EVAL", step)
    assert publisher.stats().dropped in (99, 100)  # one may have been taken


def test_the_law_holds_at_all_times(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers(queue=5)
    seen: List[Stats] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(publisher.stats())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for step in range(500):
            publisher.offer((lambda: 1 / 0) if step % 7 == 0 else (lambda: None) if step % 5 == 0 else lambda: shard(1))
            if step % 11 == 0:
                publisher.event("EVAL", step)
            if step == 250:
                kafka.set(takes=False, room=3)
            if step == 350:
                kafka.set(takes=True, room=None)
        publisher.close(HANG_S)
    finally:
        over.set()
        watching.join()
    assert len(seen) > 10
    for stats in [*seen, publisher.stats()]:
        assert stats.handed_over == stats.sent + stats.dropped + stats.failed + stats.waiting
        assert min(stats) >= 0
    assert publisher.stats().waiting == 0


# --- Brokers that fail ----------------------------------------------------------------------------------------------


def test_a_broker_that_comes_late_gets_everything(kafka: Kafka, publishers: Any) -> None:
    kafka.set(answers=False)
    publisher = publishers()
    publisher.announce(MANIFEST)
    publisher.offer(lambda: shard(0))
    kafka.await_that(lambda: bool(kafka.producers) and kafka.producers[0].asked >= 1)
    assert publisher.stats() == Stats(2, 0, 0, 0, 2)
    kafka.set(answers=True)
    await_stats(publisher, lambda stats: stats.sent == 2)
    assert len(kafka.producers) == 1


def test_a_full_client_waits_and_the_queue_drops(kafka: Kafka, publishers: Any) -> None:
    kafka.set(takes=False, room=2)
    publisher = publishers(queue=2)
    for step in range(2):
        publisher.offer(lambda step=step: shard(step))
    kafka.await_that(lambda: bool(kafka.producers) and len(kafka.producers[0].held) == 2)
    for step in range(2, 9):
        publisher.offer(lambda step=step: shard(step))
    assert publisher.stats().waiting in (4, 5)  # two in the client, two in the queue, one between them
    kafka.set(takes=True, room=None)
    stats = await_stats(publisher, lambda stats: stats.waiting == 0)
    assert stats.sent + stats.dropped == 9 and stats.failed == 0
    steps = [row["step"] for row in kafka.values("gradient-shards")]
    assert steps[:2] == [0, 1] and steps[-2:] == [7, 8] and steps == sorted(steps)


def test_a_lost_shard_is_counted_and_the_manifest_sent_again(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    publisher.announce(MANIFEST)
    await_stats(publisher, lambda stats: stats.sent == 1)
    kafka.set(losses=1)
    publisher.offer(lambda: shard(0))
    await_stats(publisher, lambda stats: stats.failed == 1)
    publisher.offer(lambda: shard(1))
    await_stats(publisher, lambda stats: stats.sent == 2)
    kafka.await_that(lambda: len(kafka.records) == 3)
    assert len(kafka.values("gradient-manifests")) == 2
    assert [row["dropped"] for row in kafka.values("gradient-shards")] == [1]
    publisher.close()
    assert publisher.stats() == Stats(3, 2, 0, 1, 0)


@pytest.mark.parametrize("hand_over", [lambda p: p.announce(MANIFEST), lambda p: p.event("FINISHED", 9)])
def test_notices_are_sent_until_they_are_acknowledged(kafka: Kafka, publishers: Any, hand_over: Any) -> None:
    publisher = publishers()
    kafka.set(losses=3)
    hand_over(publisher)
    await_stats(publisher, lambda stats: stats.sent == 1)
    assert (kafka.produced, len(kafka.records)) == (4, 1)
    publisher.close()
    assert publisher.stats() == Stats(1, 1, 0, 0, 0)


def test_an_old_event_does_not_hide_a_newer_one(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    kafka.set(takes=False)
    publisher.event("PAUSED", 3)
    publisher.event("RESUMED", 4)
    kafka.await_that(lambda: bool(kafka.producers) and len(kafka.producers[0].held) == 2)
    # The first is reported lost after the second was acknowledged.
    kafka.set(takes=True, losses=1)
    await_stats(publisher, lambda stats: stats.failed == 1)
    publisher.close()
    assert publisher.stats() == Stats(2, 1, 0, 1, 0)
    assert [row["step"] for row in kafka.values("gradient-runs")] == [4]


def test_a_broken_client_is_replaced(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    publisher.announce(MANIFEST)
    await_stats(publisher, lambda stats: stats.sent == 1)
    kafka.set(refusals=[Failure("fenced", is_fatal=True)])
    publisher.offer(lambda: shard(0))
    publisher.offer(lambda: shard(1))
    await_stats(publisher, lambda stats: stats.sent == 2)
    publisher.close()
    assert publisher.stats() == Stats(3, 2, 0, 1, 0)
    assert len(kafka.producers) == 2 and kafka.producers[0].purged


def test_an_error_of_one_record_breaks_nothing(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    kafka.set(refusals=[Failure("too large")])
    publisher.offer(lambda: shard(0))
    publisher.offer(lambda: shard(1))
    publisher.close()
    assert publisher.stats() == Stats(2, 1, 0, 1, 0)
    assert len(kafka.producers) == 1


def test_a_topic_that_is_not_there_is_waited_for(kafka: Kafka, publishers: Any, caplog: Any, monkeypatch: Any) -> None:
    class Missing:
        error = "UNKNOWN_TOPIC_OR_PART"

    publisher = publishers()
    with caplog.at_level(logging.WARNING, "gradflow"):
        monkeypatch.setattr(Metadata, "topics", {"gradient-shards": Missing()})
        publisher.offer(lambda: shard(0))
        kafka.await_that(lambda: bool(kafka.producers) and kafka.producers[0].asked >= 1)
        monkeypatch.setattr(Metadata, "topics", {})
        await_stats(publisher, lambda stats: stats.sent == 1)
    assert "run run stream main rank 2: Kafka at broker:9092 does not answer: " in caplog.text
    assert "topic gradient-shards: UNKNOWN_TOPIC_OR_PART: create the topics" in caplog.text


# --- The end --------------------------------------------------------------------------------------------------------


def test_closing_counts_what_never_left(kafka: Kafka) -> None:
    kafka.set(answers=False)
    publisher = Publisher(options(), kafka)
    publisher.announce(MANIFEST)
    publisher.offer(lambda: shard(0))
    began = time.monotonic()
    publisher.close()
    assert time.monotonic() - began < 5
    assert publisher.stats() == Stats(2, 0, 2, 0, 0)
    publisher.offer(lambda: shard(1))
    publisher.event("FINISHED", 1)
    assert publisher.stats() == Stats(4, 0, 4, 0, 0)
    publisher.close()


def test_closing_asks_once_more_for_a_broker_that_came_late(kafka: Kafka) -> None:
    kafka.set(answers=False)
    publisher = Publisher(options(), kafka)
    publisher.offer(lambda: shard(0))
    kafka.await_that(lambda: bool(kafka.producers) and kafka.producers[0].asked == 1)
    kafka.set(answers=True)
    publisher.close()
    assert publisher.stats() == Stats(1, 1, 0, 0, 0)


def test_closing_counts_what_was_not_acknowledged(kafka: Kafka) -> None:
    kafka.set(takes=False)
    publisher = Publisher(options(), kafka)
    publisher.announce(MANIFEST)
    publisher.offer(lambda: shard(0))
    kafka.await_that(lambda: bool(kafka.producers) and len(kafka.producers[0].held) == 2)
    publisher.offer(lambda: shard(1))
    publisher.close(0.3)
    assert publisher.stats() == Stats(3, 0, 0, 3, 0)
    assert kafka.producers[0].purged


def test_closing_does_not_wait_for_a_shard_in_the_making(kafka: Kafka) -> None:
    publisher = Publisher(options(), kafka)
    making, go_on = threading.Event(), threading.Event()

    def make() -> Shard:
        making.set()
        assert go_on.wait(HANG_S)
        return shard(0)

    publisher.offer(make)
    publisher.offer(lambda: shard(1))
    assert making.wait(HANG_S)
    began = time.monotonic()
    publisher.close(0.3)
    assert time.monotonic() - began < 5
    assert publisher.stats() == Stats(2, 0, 1, 0, 1)
    go_on.set()
    await_stats(publisher, lambda stats: stats.waiting == 0)


def test_a_forked_child_begins_anew(kafka: Kafka, publishers: Any) -> None:
    publisher = publishers()
    publisher.offer(lambda: shard(0))
    await_stats(publisher, lambda stats: stats.sent == 1)
    kafka.set(takes=False)
    publisher.offer(lambda: shard(1))
    kafka.await_that(lambda: len(kafka.producers[0].held) == 1)
    came, goes = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = b"raised"
        try:
            before = publisher.stats()
            # The condition of the fake is the parent's, and may be held by its thread.
            own = Kafka()
            publisher._sender._producers = own
            publisher.offer(lambda: shard(5))
            publisher.close(HANG_S)
            steps = [row["step"] for row in own.values("gradient-shards")]
            outcome = repr((tuple(before), tuple(publisher.stats()), steps)).encode()
        finally:
            os.write(goes, outcome)
            os._exit(0)
    os.close(goes)
    with os.fdopen(came, "rb") as source:
        assert source.read() == b"((0, 0, 0, 0, 0), (1, 1, 0, 0, 0), [5])"
    assert os.waitpid(child, 0)[1] == 0
    assert publisher.stats() == Stats(2, 1, 0, 0, 1)


# --- With the real client -------------------------------------------------------------------------------------------


def run(script: str, **environ: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(script)],
        env={**os.environ, **environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=HANG_S * 3,
    )


PRELUDE = """
    import os, sys, time, numpy as np
    from gradflow.options import Options
    from gradflow.publisher import Publisher
    from gradflow.records import Columns, Layer, Manifest, Reporting, Shard
    MANIFEST = Manifest("run", 1, (Layer("a", 4),), 1, (), (Reporting("REDUCED"),))
    def shard(step):
        ones = np.ones(2, np.float32)
        return Shard("run", 1, "main", step, 0, (0,), 7, "REDUCED", Columns(norm=ones, max_abs=ones))
    def publisher():
        return Publisher(Options(os.environ["BROKER"], "run", 1, 0, 1))
"""


@pytest.fixture
def silent_broker() -> Iterator[str]:
    """Accepts connections, as a stopped process's kernel does, and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("broker", ["dead", "silent"])
def test_without_a_broker_closing_takes_two_seconds(broker: str, silent_broker: str) -> None:
    pytest.importorskip("confluent_kafka")
    done = run(
        """
        p = publisher()
        p.announce(MANIFEST)
        for step in range(1000):
            p.offer(lambda: shard(step))
        time.sleep(0.5)
        began = time.monotonic()
        p.close()
        took = time.monotonic() - began
        s = p.stats()
        print(took < 2.5, s.handed_over == 1001 == s.sent + s.dropped + s.failed, s.waiting, took)
        """,
        BROKER="127.0.0.1:1" if broker == "dead" else silent_broker,
    )
    assert done.stdout.startswith("True True 0"), (done.stdout, done.stderr)
    assert done.returncode == 0
    assert done.stderr.count("\n") <= 3, done.stderr


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit(3)"])
def test_a_process_that_forgets_to_close_ends_all_the_same(end: str, silent_broker: str) -> None:
    pytest.importorskip("confluent_kafka")
    began = time.monotonic()
    done = run(f"p = publisher()\np.offer(lambda: shard(1))\n{end}", BROKER=silent_broker)
    assert time.monotonic() - began < HANG_S
    assert done.returncode == (3 if end else 0), done.stderr


def test_a_forked_child_of_the_real_client_ends(silent_broker: str) -> None:
    pytest.importorskip("confluent_kafka")
    done = run(
        """
        p = publisher()
        p.offer(lambda: shard(1))
        while p._sender._producer is None:
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            assert tuple(p.stats()) == (0, 0, 0, 0, 0)
            sys.exit(5)  # with the interpreter's whole shutdown
        assert os.waitpid(child, 0)[1] >> 8 == 5
        assert p.stats().handed_over == 1
        print("both ended")
        """,
        BROKER=silent_broker,
    )
    assert "both ended" in done.stdout, done.stderr


def test_a_child_of_multiprocessing_closes_at_its_end(tmp_path: Any) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(
        textwrap.dedent(PRELUDE)
        + textwrap.dedent(
            """
            import multiprocessing
            def work(path):
                p = publisher()
                close = p.close
                p._end_closing = lambda deadline: open(path, "w").write("closed")
            if __name__ == "__main__":
                for method in ("spawn", "fork"):
                    path = sys.argv[1] + method
                    child = multiprocessing.get_context(method).Process(target=work, args=(path,))
                    child.start()
                    child.join()
                    print(method, open(path).read())
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out")],
        env={**os.environ, "BROKER": "b:1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=HANG_S * 3,
    )
    assert done.stdout == "spawn closed\nfork closed\n", done.stderr


def test_no_signal_is_handled() -> None:
    done = run(
        """
        import signal
        p = publisher()
        p.offer(lambda: None)
        print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        """,
        BROKER="127.0.0.1:1",
    )
    assert (done.stdout, done.returncode) == ("True\n", -15), done.stderr


def test_a_thread_that_cannot_start_is_nobodys_trouble(kafka: Kafka, monkeypatch: Any, caplog: Any) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    publisher = Publisher(options(), kafka)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    publisher.offer(lambda: shard(0))
    publisher.event("FINISHED", 1)
    publisher.close()
    assert publisher.stats() == Stats(2, 0, 2, 0, 0)
    assert "a shard cannot be handed over: RuntimeError: can't create new thread" in caplog.text


# --- The log --------------------------------------------------------------------------------------------------------


def test_the_log_has_a_line_a_minute(caplog: Any) -> None:
    now = [0.0]
    complaints = Complaints("publisher of rank 2", lambda: now[0])
    with caplog.at_level(logging.WARNING, "gradflow"):
        for second in range(61):
            now[0] = float(second)
            complaints.about("Kafka does not answer", ConnectionError("refused\n again"))
    assert [record.getMessage() for record in caplog.records] == [
        "publisher of rank 2: Kafka does not answer: ConnectionError: refused again (further ones unlogged for 1 min)",
        "publisher of rank 2: Kafka does not answer: ConnectionError: refused again (further ones unlogged for 1 min; "
        "59 unlogged before this one)",
    ]
