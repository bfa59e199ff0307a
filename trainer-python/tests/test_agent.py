"""Ranks of a host, their agent, and a Kafka that fails: who has what, and who counts it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Iterator, List, Tuple

import numpy as np
import pytest
from test_publisher import HANG_S, MANIFEST, Failure, Kafka, await_stats, shard

from gradflow import agent as agents
from gradflow.agent import Agent, AgentGone, AgentLink
from gradflow.options import Options
from gradflow.publisher import Publisher, Stats
from gradflow.records import Columns, Shard


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


class Served:
    """An agent on a thread of its own."""

    def __init__(self, listen: str, kafka: Kafka) -> None:
        self.agent = Agent(listen, "broker:9092", {}, kafka)
        self.thread = threading.Thread(target=self.agent.serve)
        self.thread.start()

    def stop(self) -> None:
        self.agent.stop()
        self.thread.join(HANG_S)
        assert not self.thread.is_alive()


@pytest.fixture(params=["unix", "tcp"])
def listen(request: Any, tmp_path: Any) -> str:
    return f"unix:{tmp_path}/agent.sock" if request.param == "unix" else "127.0.0.1:0"


@pytest.fixture
def serve(kafka: Kafka, listen: str) -> Iterator[Callable[[], Served]]:
    served: List[Served] = []

    def start() -> Served:
        # An agent that comes back listens where the first one did.
        served.append(Served(served[0].agent_at if served else listen, kafka))
        served[-1].agent_at = served[-1].agent.where  # type: ignore[attr-defined]
        return served[-1]

    yield start
    kafka.set(takes=True, answers=True, room=None)
    for each in served:
        each.stop()
        agent = each.agent
        assert agent.received == agent.sent + agent.failed


@pytest.fixture
def rank() -> Iterator[Callable[..., Publisher]]:
    made: List[Publisher] = []

    def make(agent: str, rank: int = 0, **more: Any) -> Publisher:
        made.append(Publisher(Options("", "run", 1, rank, 8, agent=agent, **more)))
        return made[-1]

    yield make
    for publisher in made:
        publisher.close()
        stats = publisher.stats()
        assert stats.handed_over == stats.sent + stats.dropped + stats.failed + stats.waiting


def large_shard(step: int) -> Shard:
    column = np.ones(90_000, np.float32)
    return Shard("run", 1, "main", step, 0, (0,), 7, "REDUCED", Columns(norm=column, max_abs=column))


# --- The plain way --------------------------------------------------------------------------------------------------


def test_all_ranks_share_one_client_and_keep_their_order(kafka: Kafka, serve: Any, rank: Any, caplog: Any) -> None:
    at = serve().agent.where
    ranks = [rank(at, number) for number in range(4)]
    ranks[0].announce(MANIFEST)
    for step in range(50):
        for publisher in ranks:
            publisher.offer(lambda step=step: shard(step))
    for publisher in ranks:
        publisher.close(HANG_S)
        assert publisher.stats()[2:] == (0, 0, 0)
    assert [publisher.stats().sent for publisher in ranks] == [51, 50, 50, 50]
    assert len(kafka.producers) == 1
    rows = kafka.values("gradient-shards")
    assert len(rows) == 200
    by_rank: dict = {}
    for row in rows:
        by_rank.setdefault(row["producerSeq"], []).append(row["step"])
    assert all(steps == [sequence] * 4 for sequence, steps in by_rank.items())
    assert [key for topic, key, _ in kafka.records if topic == "gradient-manifests"]
    assert kafka.producers[0].configuration["bootstrap.servers"] == "broker:9092"
    assert kafka.producers[0].configuration["partitioner"] == "murmur2_random"
    assert caplog.text == ""


def test_large_records_in_many_parts_arrive(kafka: Kafka, serve: Any, rank: Any) -> None:
    publisher = rank(serve().agent.where)
    for step in range(30):  # 21 MB: more than may be under way
        publisher.offer(lambda step=step: large_shard(step))
    publisher.close(HANG_S)
    assert publisher.stats() == Stats(30, 30, 0, 0, 0)
    assert [row["step"] for row in kafka.values("gradient-shards")] == list(range(30))


def test_sent_means_that_kafka_took_it(kafka: Kafka, serve: Any, rank: Any) -> None:
    publisher = rank(serve().agent.where)
    kafka.set(takes=False)
    publisher.offer(lambda: shard(0))
    kafka.await_that(lambda: bool(kafka.producers) and len(kafka.producers[0].held) == 1)
    assert publisher.stats() == Stats(1, 0, 0, 0, 1)
    kafka.set(takes=True)
    await_stats(publisher, lambda stats: stats.sent == 1)


def test_what_kafka_does_not_take_is_counted_at_its_rank(kafka: Kafka, serve: Any, rank: Any) -> None:
    publisher = rank(serve().agent.where)
    kafka.set(losses=1)
    publisher.offer(lambda: shard(0))
    await_stats(publisher, lambda stats: stats.failed == 1)
    publisher.announce(MANIFEST)
    kafka.set(losses=1)
    await_stats(publisher, lambda stats: stats.sent == 1)
    assert publisher.stats() == Stats(2, 1, 0, 1, 0)


# --- Kafka away -----------------------------------------------------------------------------------------------------


def test_ranks_wait_for_kafka_as_without_an_agent(kafka: Kafka, serve: Any, rank: Any) -> None:
    kafka.set(answers=False)
    publisher = rank(serve().agent.where, queue=3)
    publisher.announce(MANIFEST)
    for step in range(10):
        publisher.offer(lambda step=step: shard(step))
    kafka.await_that(lambda: bool(kafka.producers) and kafka.producers[0].asked >= 1)
    assert publisher.stats() == Stats(11, 0, 7, 0, 4)
    kafka.set(answers=True)
    await_stats(publisher, lambda stats: stats.sent == 4)
    assert [row["step"] for row in kafka.values("gradient-shards")] == [7, 8, 9]


def test_a_client_that_is_full_holds_the_ranks_back(kafka: Kafka, serve: Any, rank: Any) -> None:
    served = serve()
    publisher = rank(served.agent.where, queue=4)
    kafka.set(takes=False, room=3)
    for step in range(60):
        publisher.offer(lambda step=step: large_shard(step))
    kafka.await_that(lambda: bool(kafka.producers) and len(kafka.producers[0].held) == 3)
    stats = publisher.stats()
    assert stats.dropped > 0 and stats.sent == stats.failed == 0
    assert stats.waiting * 720_000 < 3 * agents._UNDER_WAY_BYTES
    kafka.set(takes=True, room=None)
    stats = await_stats(publisher, lambda stats: stats.waiting == 0)
    assert stats.sent + stats.dropped == 60 and stats.failed == 0
    steps = [row["step"] for row in kafka.values("gradient-shards")]
    assert steps == sorted(steps) and steps[-1] == 59


def test_a_broken_client_of_the_agent_is_replaced(kafka: Kafka, serve: Any, rank: Any) -> None:
    publisher = rank(serve().agent.where)
    publisher.offer(lambda: shard(0))
    await_stats(publisher, lambda stats: stats.sent == 1)
    kafka.set(refusals=[Failure("fenced", is_fatal=True)])
    publisher.offer(lambda: shard(1))
    await_stats(publisher, lambda stats: stats.failed == 1)
    publisher.offer(lambda: shard(2))
    await_stats(publisher, lambda stats: stats.sent == 2)
    assert len(kafka.producers) == 2 and kafka.producers[0].purged


# --- The agent away -------------------------------------------------------------------------------------------------


def test_a_rank_without_an_agent_waits_drops_and_ends(tmp_path: Any, rank: Any) -> None:
    publisher = rank(f"unix:{tmp_path}/nobody", queue=2)
    for step in range(5):
        publisher.offer(lambda step=step: shard(step))
    began = time.monotonic()
    publisher.close()
    assert time.monotonic() - began < 5
    assert publisher.stats() == Stats(5, 0, 5, 0, 0)


def test_a_rank_finds_the_agent_that_comes_back(kafka: Kafka, serve: Any, rank: Any) -> None:
    first = serve()
    at = first.agent.where
    publisher = rank(at)
    publisher.offer(lambda: shard(0))
    await_stats(publisher, lambda stats: stats.sent == 1)
    kafka.set(takes=False)
    publisher.offer(lambda: shard(1))
    publisher.event("EVAL", 1)
    kafka.await_that(lambda: len(kafka.producers[0].held) == 2)
    first.stop()  # what it could not send it counts, and so does the rank
    stats = await_stats(publisher, lambda stats: stats.failed == 1)
    assert stats.waiting == 1  # the event
    kafka.set(takes=True)
    serve()
    await_stats(publisher, lambda stats: stats.sent == 2)
    publisher.offer(lambda: shard(2))
    await_stats(publisher, lambda stats: stats.sent == 3)
    assert [row["step"] for row in kafka.values("gradient-runs")] == [1]
    assert [row["dropped"] for row in kafka.values("gradient-shards")] == [0, 1]


def test_an_agent_that_stands_still_holds_up_no_rank(listen: str, rank: Any) -> None:
    """As a stopped process does: connections are accepted by the kernel, and nothing is read."""
    family, where = agents.address(listen, "listen")
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind(where)
        listening.listen(16)
        at = listen if listen.startswith("unix") else f"127.0.0.1:{listening.getsockname()[1]}"
        publisher = rank(at, queue=3)
        began = time.monotonic()
        for step in range(100):
            publisher.offer(lambda step=step: shard(step))
        assert time.monotonic() - began < 2
        publisher.close()
        assert time.monotonic() - began < 6
        assert publisher.stats() == Stats(100, 0, 100, 0, 0)


class Standing:
    """An agent that says it is ready, and then reads nothing more."""

    def __init__(self) -> None:
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen(1)
        self.at = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.connection: Any = None
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        self.connection, _ = self.listening.accept()
        self.connection.sendall(struct.pack(">cQ", b"R", 0))

    def close(self) -> None:
        self.thread.join(HANG_S)
        self.connection.close()
        self.listening.close()


@pytest.fixture
def standing() -> Iterator[Standing]:
    it = Standing()
    yield it
    it.close()


def ignored(error: Any, message: Any) -> None:
    pass


def test_a_link_holds_only_so_much(standing: Standing) -> None:
    link = AgentLink(standing.at)
    link.list_topics("gradient-shards", timeout=HANG_S)
    ended: List[Any] = []
    with pytest.raises(BufferError, match="slower than its ranks"):
        for _ in range(1000):
            link.produce("gradient-shards", bytes(1 << 20), b"key", on_delivery=lambda error, _: ended.append(error))
    link.purge()
    assert len(ended) == 7 and all("this end is closed" in str(error) for error in ended)
    with pytest.raises(AgentGone, match="is gone: this end is closed"):
        link.produce("gradient-shards", b"", b"key", on_delivery=ignored)


def test_a_link_gives_up_an_agent_that_says_nothing(standing: Standing, monkeypatch: Any) -> None:
    link = AgentLink(standing.at)
    link.list_topics("gradient-shards", timeout=HANG_S)
    errors: List[Any] = []
    link.produce("gradient-shards", b"value", b"key", on_delivery=lambda error, _: errors.append(error))
    link.poll(0)
    monkeypatch.setattr(agents, "_SILENCE_S", -1.0)
    with pytest.raises(AgentGone, match="it says nothing any more"):
        link.poll(0)
    assert [error.fatal() for error in errors] == [True]


# --- Ranks that are no ranks ----------------------------------------------------------------------------------------


def connected(served: Served) -> socket.socket:
    family, where = agents.address(served.agent.where, "agent")
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(HANG_S)
    connection.connect(where)
    return connection


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"gradflow1" + struct.pack(">IHH", 5 << 20, 3, 3),
        b"gradflow1" + struct.pack(">IHH", 3, 2, 2),
        b"gradflow1" + struct.pack(">IHH", 16, 14, 1) + b"gradient-rules" + b"kv",
    ],
)
def test_who_does_not_speak_the_language_is_refused(
    kafka: Kafka, serve: Any, rank: Any, sent: bytes, caplog: Any
) -> None:
    served = serve()
    with connected(served) as stranger:
        stranger.sendall(sent)
        answers = b""
        while True:
            try:
                came = stranger.recv(100)
            except ConnectionResetError:
                break
            if not came:
                break
            answers += came
        assert answers in (b"", struct.pack(">cQ", b"R", 0))
    assert "gradflow-agent: a rank is refused: expected" in caplog.text
    publisher = rank(served.agent.where)
    publisher.offer(lambda: shard(0))
    await_stats(publisher, lambda stats: stats.sent == 1)
    assert len(kafka.records) == 1


def test_a_rank_that_goes_in_the_middle_of_a_record_troubles_nobody(kafka: Kafka, serve: Any, rank: Any) -> None:
    served = serve()
    publisher = rank(served.agent.where)
    with connected(served) as stranger:
        stranger.sendall(b"gradflow1" + struct.pack(">IHH", 1000, 15, 1) + b"gradient-sha")
        publisher.offer(lambda: shard(0))
        await_stats(publisher, lambda stats: stats.sent == 1)
    publisher.offer(lambda: shard(1))
    await_stats(publisher, lambda stats: stats.sent == 2)
    assert len(kafka.records) == 2


# --- The program ----------------------------------------------------------------------------------------------------


def program(*arguments: str, **environ: str) -> subprocess.Popen:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GRADFLOW_")}
    return subprocess.Popen(
        [sys.executable, "-m", "gradflow.agent", *arguments],
        env={**clean, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen) -> Tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=HANG_S)
    finally:
        process.kill()
    return process.returncode, out, err


def test_help_says_how() -> None:
    status, out, _ = ended(program("--help"))
    assert status == 0
    for word in ("--listen", "--bootstrap-servers", "unix:/path", "GRADFLOW_AGENT", "GRADFLOW_KAFKA_SECURITY_PROTOCOL"):
        assert word in out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--listen", "0.0.0.0:1", "--bootstrap-servers", "b:1"], "--listen: expected unix:/path, or 127.0.0.1:port"),
        (["--listen", "127.0.0.1:0"], "--bootstrap-servers: expected HOST:PORT,..., got none"),
        (
            ["--listen", "unix:/nowhere/at/all", "--bootstrap-servers", "b:1"],
            "--listen: cannot listen at unix:/nowhere/at/all: No such file or directory",
        ),
    ],
)
def test_what_is_wrong_is_one_line(arguments: List[str], sentence: str) -> None:
    status, _, err = ended(program(*arguments))
    assert status == 2
    assert err.startswith(f"gradflow-agent: {sentence}") and err.count("\n") == 1


def test_two_agents_do_not_share_an_address(tmp_path: Any, kafka: Kafka) -> None:
    served = Served(f"unix:{tmp_path}/agent.sock", kafka)
    try:
        status, _, err = ended(program("--listen", served.agent.where, "--bootstrap-servers", "b:1"))
        assert (status, err.count("\n")) == (2, 1)
        assert "Address already in use" in err
        assert stat.S_IMODE(os.stat(f"{tmp_path}/agent.sock").st_mode) == 0o600
    finally:
        served.stop()
    assert not os.path.exists(f"{tmp_path}/agent.sock")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds(number: int, tmp_path: Any) -> None:
    pytest.importorskip("confluent_kafka")
    path = tmp_path / "agent.sock"
    # What a killed agent left behind does not keep the next one out.
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    process = program("--listen", f"unix:{path}", "--bootstrap-servers", "127.0.0.1:1")
    assert process.stderr is not None
    assert f"gradflow-agent listens at unix:{path} and publishes to 127.0.0.1:1" in process.stderr.readline()
    began = time.monotonic()
    process.send_signal(number)
    status, _, err = ended(process)
    assert time.monotonic() - began < 5
    assert status == 0
    assert "gradflow-agent ends: 0 received, 0 sent, 0 failed" in err
    assert not path.exists()
