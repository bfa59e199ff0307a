"""One connection to Kafka for all ranks of a host: ``gradflow-agent`` takes their records over a local socket.

A rank whose options name an ``agent`` hands its records over instead of having a client of its own. ``sent`` still
means that Kafka took it: the agent acknowledges a record when Kafka has, and takes no more of them than Kafka lets it.

What goes over the socket, all numbers big-endian:

- from the rank, once: ``gradflow1``;
- from the rank, for each record: lengths of what follows, of the topic and of the key (4, 2 and 2 bytes), topic, key,
  value. Records of a connection are counted from 0;
- from the agent: a letter and a number (1 and 8 bytes). ``R``, once: Kafka has answered, records are welcome. ``T`` and
  ``F``: Kafka took the record of that number, or did not.
"""

from __future__ import annotations

import argparse
import logging
import os
import selectors
import signal
import socket
import stat
import struct
import sys
import time
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Set, Tuple

from gradflow import wire
from gradflow.complaints import LOG, Complaints
from gradflow.kafka import ClientLog, is_fatal, never_destroy, new_producer, producer_configuration
from gradflow.options import address, kafka_properties

_GREETING = b"gradflow1"
_FRAME = struct.Struct(">IHH")
_ANSWER = struct.Struct(">cQ")
_READY = b"R"
_TAKEN = b"T"
_FAILED = b"F"

_TOPICS = frozenset([wire.SHARDS, wire.MANIFESTS, wire.RUNS])
_MAX_FRAME_BYTES = 4 << 20
_READ_BYTES = 1 << 18
#: So much of a rank may be under way: beyond, the agent stops reading and the rank's own queue drops.
_UNDER_WAY_BYTES = 8 << 20
_MAX_UNREAD_ANSWERS = 1 << 20
_ANSWER_S = 0.5
_RETRY_CONNECTING_S = 1.0
_IDLE_S = 0.1
_UNDER_WAY_S = 0.005
_CLOSING_S = 1.5
#: Kafka's own limit is 120 s; an agent that says nothing for longer is stopped or lost.
_SILENCE_S = 150.0


# --- The rank's side ------------------------------------------------------------------------------------------------


class AgentGone(ConnectionError):
    """The connection to the agent has ended, or there is none."""

    def fatal(self) -> bool:
        """As of confluent-kafka's errors: this link stays broken, and another takes its place."""
        return True


class _Topics:
    """What an agent says of Kafka's topics: nothing, once it is ready."""

    topics: Mapping[str, Any] = {}


class AgentLink:
    """A rank's connection to an agent, with the methods of confluent-kafka's ``Producer`` that a publisher uses.

    Never waits but for the time it is given. Once it is broken it stays so. For use by one thread.
    """

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._family, self._address = address(agent, "agent")
        self._socket: Optional[socket.socket] = None
        self._ready = False
        self._gone: Optional[AgentGone] = None
        self._purged = False
        self._out = bytearray()
        self._in = bytearray()
        self._numbers = 0
        self._under_way: Dict[int, Tuple[int, Callable[[Any, Any], None]]] = {}
        self._under_way_bytes = 0
        self._heard = time.monotonic()

    def list_topics(self, topic: str, timeout: float) -> _Topics:
        """Connects, and waits so long for the agent to say that Kafka has answered.

        Raises AgentGone if there is no agent, TimeoutError if it is not ready.
        """
        deadline = time.monotonic() + timeout
        self._connect(timeout)
        while not self._ready:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the agent at {self._agent} waits for Kafka")
            self.poll(left)
        return _Topics()

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        """Sends a record. Raises BufferError if as much is under way as may be, AgentGone if there is no agent."""
        if self._gone is not None or not self._ready:
            raise self._gone or AgentGone(f"the agent at {self._agent} is not connected")
        name = topic.encode()
        size = len(name) + len(key) + len(value)
        if self._under_way and self._under_way_bytes + size > _UNDER_WAY_BYTES:
            raise BufferError(f"the agent at {self._agent} is slower than its ranks")
        if not self._under_way:
            self._heard = time.monotonic()
        self._under_way[self._numbers] = (size, on_delivery)
        self._under_way_bytes += size
        self._numbers += 1
        self._out += _FRAME.pack(size, len(name), len(key)) + name + key
        self._out += value
        self._write()

    def poll(self, timeout: float) -> int:
        """Writes and reads what can be within that time; how many deliveries were reported.

        Raises AgentGone once the connection has ended, after everything under way was reported as failed.
        """
        if self._gone is not None and not self._purged:
            raise self._gone
        if self._socket is None:
            return 0
        self._write()
        reported = 0
        # Not select(): a training may have thousands of files open.
        with selectors.PollSelector() if hasattr(selectors, "PollSelector") else selectors.SelectSelector() as ready:
            ready.register(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0))
            for _, events in ready.select(max(0.0, timeout)):
                if events & selectors.EVENT_WRITE:
                    self._write()
                if events & selectors.EVENT_READ:
                    reported = self._read()
        if self._under_way and time.monotonic() - self._heard > _SILENCE_S:
            self._end("it says nothing any more")
        if self._gone is not None:
            raise self._gone
        return reported

    def purge(self, blocking: bool = False) -> None:
        """Reports everything under way as failed, and ends the connection."""
        self._purged = True
        self._end("this end is closed")

    def _connect(self, timeout: float) -> None:
        if self._gone is not None:
            raise self._gone
        if self._socket is not None:
            return
        connecting = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            connecting.settimeout(timeout)
            connecting.connect(self._address)
            connecting.setblocking(False)
        except OSError as e:
            connecting.close()
            self._gone = AgentGone(f"expected gradflow-agent at {self._agent}, got {e}: start one on this host")
            raise self._gone from e
        self._socket = connecting
        self._out += _GREETING
        self._write()

    def _write(self) -> None:
        while self._out and self._socket is not None:
            try:
                # A copy of what the kernel may take, not of all there is.
                sent = self._socket.send(self._out[:_READ_BYTES])
                del self._out[:sent]
            except (BlockingIOError, InterruptedError):
                return
            except OSError as e:
                self._end(str(e))

    def _read(self) -> int:
        try:
            came = self._socket.recv(_READ_BYTES) if self._socket is not None else b""
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as e:
            self._end(str(e))
            return 0
        if not came:
            self._end("it ended")
            return 0
        self._heard = time.monotonic()
        self._in += came
        reported = 0
        whole = len(self._in) // _ANSWER.size * _ANSWER.size
        answers, self._in = self._in[:whole], self._in[whole:]
        for kind, number in _ANSWER.iter_unpack(bytes(answers)):
            if kind == _READY:
                self._ready = True
            elif number in self._under_way:
                size, on_delivery = self._under_way.pop(number)
                self._under_way_bytes -= size
                reported += 1
                on_delivery(None if kind == _TAKEN else f"the agent at {self._agent} could not send it", None)
        return reported

    def _end(self, why: str) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._gone = self._gone or AgentGone(f"the agent at {self._agent} is gone: {why}")
        self._out.clear()
        under_way, self._under_way = self._under_way, {}
        self._under_way_bytes = 0
        for _, on_delivery in under_way.values():
            on_delivery(self._gone, None)


# --- The agent's side -----------------------------------------------------------------------------------------------


class _Rank:
    """A connection from a rank."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.greeted = False
        self.told = False
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.numbers = 0
        self.under_way_bytes = 0
        self.is_open = True


class Agent:
    """Takes the records of ranks and gives them to Kafka, in the order of each rank.

    Guarantees: memory is bounded (what Kafka's client holds, and of each rank one record and what is under way); a rank
    that is slow, mad or gone troubles no other; `serve` ends within two seconds of `stop`.
    """

    def __init__(
        self,
        listen: str,
        bootstrap_servers: str,
        kafka: Mapping[str, str],
        producer_factory: Optional[Callable[[Mapping[str, Any]], Any]] = None,
    ) -> None:
        """Listens from now on. Raises ValueError or OSError if that address cannot be had."""
        self._bootstrap_servers = bootstrap_servers
        self._kafka = kafka
        self._producers = producer_factory or new_producer
        self._complaints = Complaints("gradflow-agent")
        self._listening, self._path = _listening(listen)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._waking, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._stop_at = float("inf")
        self._ranks: Set[_Rank] = set()
        self._producer: Any = None
        self._connected = False
        self._broken = False
        self._ask_at = 0.0
        self._under_way: Dict[int, Callable[[Any, Any], None]] = {}
        self.received = 0
        self.sent = 0
        self.failed = 0

    @property
    def where(self) -> str:
        """Where it listens, as ranks name it."""
        if self._path is not None:
            return f"unix:{self._path}"
        host, port = self._listening.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def stop(self) -> None:
        """Ends `serve`; from any thread, or a signal's handler."""
        self._stop_at = min(self._stop_at, time.monotonic())
        try:
            self._waking.send(b"\0")
        except OSError:
            pass  # it is awake

    def serve(self) -> None:
        """Works until it is stopped; then gives Kafka what it has taken, for less than two seconds."""
        try:
            while time.monotonic() < self._stop_at:
                self._turn(_UNDER_WAY_S if self._under_way else _IDLE_S)
            while self._under_way and time.monotonic() < self._stop_at + _CLOSING_S and not self._broken:
                self._poll(_UNDER_WAY_S)
        finally:
            # The process ends with it.
            never_destroy(self._retire())
            for rank in list(self._ranks):
                self._write(rank)
                self._drop(rank)
            self._selector.close()
            for end in (self._listening, self._waking, self._woken):
                end.close()
            if self._path is not None and os.path.exists(self._path):
                os.unlink(self._path)

    def _turn(self, at_most: float) -> None:
        """Everything that can be done now, or within that time."""
        self._connect()
        for ready, events in self._selector.select(at_most):
            if ready.fileobj is self._listening:
                self._accept()
            elif ready.fileobj is self._woken:
                self._woken.recv(64)
            else:
                rank: _Rank = ready.data
                if events & selectors.EVENT_WRITE:
                    self._write(rank)
                if events & selectors.EVENT_READ and rank.is_open:
                    self._read(rank)
        self._poll(0)
        for rank in list(self._ranks):
            self._take(rank)
            self._write(rank)
            self._listen_to(rank)

    # --- Kafka ---

    def _connect(self) -> None:
        if self._broken:
            self._retire()
        if self._connected or time.monotonic() < self._ask_at:
            return
        try:
            if self._producer is None:
                self._producer = self._producers(self._configuration())
            topics = self._producer.list_topics(wire.SHARDS, timeout=_ANSWER_S).topics
            error = topics[wire.SHARDS].error if wire.SHARDS in topics else None
            if error is not None:
                raise RuntimeError(f"topic {wire.SHARDS}: {error}: create the topics")
            self._connected = True
        except Exception as e:
            self._ask_at = time.monotonic() + _RETRY_CONNECTING_S
            self._complaints.about(f"Kafka at {self._bootstrap_servers} does not answer", e)

    def _configuration(self) -> Dict[str, Any]:
        own = {"queue.buffering.max.kbytes": str(64 << 10), **self._kafka}
        configuration = producer_configuration(self._bootstrap_servers, "gradflow-agent", own)
        return {"error_cb": self._client_failed, "logger": ClientLog(self._complaints), **configuration}

    def _client_failed(self, error: Any) -> None:
        self._broken = self._broken or bool(error.fatal())
        self._complaints.about("Kafka's client says", error)

    def _poll(self, at_most: float) -> None:
        if self._producer is not None:
            try:
                self._producer.poll(at_most)
            except Exception as e:
                self._complaints.about("Kafka's client says", e)

    def _retire(self) -> Any:
        """Ends all that is under way and returns the producer, to be destroyed; the next one takes its place."""
        producer, self._producer = self._producer, None
        self._connected = self._broken = False
        if producer is not None:
            try:
                if hasattr(producer, "purge"):
                    producer.purge(blocking=False)
                producer.poll(0)
            except Exception as e:
                self._complaints.about("Kafka's client says", e)
        for ended in list(self._under_way.values()):
            ended("the client is closed", None)
        return producer

    # --- Ranks ---

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
            connection.setblocking(False)
        except OSError as e:
            self._complaints.about("a rank cannot be taken on", e)
            return
        rank = _Rank(connection)
        self._ranks.add(rank)
        self._selector.register(connection, selectors.EVENT_READ, rank)

    def _listen_to(self, rank: _Rank) -> None:
        """Reads of a rank only what it has room for, and writes only if there is something to."""
        if not rank.is_open:
            return
        events = selectors.EVENT_WRITE if rank.outgoing else 0
        room = _READ_BYTES
        if rank.greeted and len(rank.incoming) >= _FRAME.size:
            room = max(room, _FRAME.size + _FRAME.unpack_from(rank.incoming)[0])
        if len(rank.incoming) < room and (self._connected or not rank.greeted):
            events |= selectors.EVENT_READ
        registered = self._selector.get_map().get(rank.connection)
        if registered is None and events:
            self._selector.register(rank.connection, events, rank)
        elif registered is not None and not events:
            self._selector.unregister(rank.connection)
        elif registered is not None and registered.events != events:
            self._selector.modify(rank.connection, events, rank)

    def _read(self, rank: _Rank) -> None:
        try:
            came = rank.connection.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            came = b""
        if not came:
            self._drop(rank)
            return
        rank.incoming += came

    def _take(self, rank: _Rank) -> None:
        """Gives Kafka's client the whole records that came, as far as it and the rank's limit let it."""
        if rank.is_open and not rank.greeted and len(rank.incoming) >= len(_GREETING):
            if rank.incoming[: len(_GREETING)] != _GREETING:
                self._refuse(rank, f"a greeting {_GREETING!r}", bytes(rank.incoming[: len(_GREETING)]))
                return
            del rank.incoming[: len(_GREETING)]
            rank.greeted = True
        if not rank.is_open or not rank.greeted or not self._connected:
            return
        if not rank.told:
            rank.told = True
            rank.outgoing += _ANSWER.pack(_READY, 0)
        at = 0
        while rank.is_open and not self._broken and len(rank.incoming) - at >= _FRAME.size:
            size, topic_size, key_size = _FRAME.unpack_from(rank.incoming, at)
            if not topic_size + key_size <= size <= _MAX_FRAME_BYTES:
                self._refuse(rank, f"a record of at most {_MAX_FRAME_BYTES} bytes", size)
                return
            if rank.under_way_bytes > 0 and rank.under_way_bytes + size > _UNDER_WAY_BYTES:
                break
            begin = at + _FRAME.size
            if len(rank.incoming) < begin + size:
                break
            topic = bytes(rank.incoming[begin : begin + topic_size]).decode("utf-8", "replace")
            if topic not in _TOPICS:
                self._refuse(rank, f"a topic of {', '.join(sorted(_TOPICS))}", topic)
                return
            key = bytes(rank.incoming[begin + topic_size : begin + topic_size + key_size])
            value = bytes(rank.incoming[begin + topic_size + key_size : begin + size])
            if not self._produce(rank, size, topic, key, value):
                break
            at = begin + size
        del rank.incoming[:at]

    def _produce(self, rank: _Rank, size: int, topic: str, key: bytes, value: bytes) -> bool:
        """Whether Kafka's client has taken the record, or refused it for good; False: later."""
        number, record = rank.numbers, self.received

        def ended(error: Any, message: Any) -> None:
            if self._under_way.pop(record, None) is None:
                return
            if error is None:
                self.sent += 1
            else:
                self.failed += 1
                self._complaints.about("Kafka did not take a record", error)
            rank.under_way_bytes -= size
            rank.outgoing += _ANSWER.pack(_FAILED if error is not None else _TAKEN, number)

        self._under_way[record] = ended
        rank.under_way_bytes += size
        try:
            self._producer.produce(topic, value, key, on_delivery=ended)
        except BufferError:
            del self._under_way[record]
            rank.under_way_bytes -= size
            return False
        except Exception as e:
            self._broken = self._broken or is_fatal(e)
            ended(e, None)
        rank.numbers += 1
        self.received += 1
        return True

    def _write(self, rank: _Rank) -> None:
        while rank.is_open and rank.outgoing:
            try:
                sent = rank.connection.send(rank.outgoing[:_READ_BYTES])
                del rank.outgoing[:sent]
            except (BlockingIOError, InterruptedError):
                if len(rank.outgoing) > _MAX_UNREAD_ANSWERS:
                    self._refuse(rank, "its answers to be read", f"{len(rank.outgoing)} bytes unread")
                return
            except OSError:
                self._drop(rank)

    def _refuse(self, rank: _Rank, expected: str, got: object) -> None:
        self._complaints.about("a rank is refused", f"expected {expected}, got {got!r}")
        self._drop(rank)

    def _drop(self, rank: _Rank) -> None:
        """Ends the connection. What is under way goes to Kafka all the same."""
        if rank.is_open:
            rank.is_open = False
            if self._selector.get_map().get(rank.connection) is not None:
                self._selector.unregister(rank.connection)
            rank.connection.close()
            rank.incoming.clear()
            self._ranks.discard(rank)


def _listening(listen: str) -> Tuple[socket.socket, Optional[str]]:
    family, where = address(listen, "--listen")
    path = where if isinstance(where, str) else None
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if path is None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
        else:
            _remove_stale(path)
            # For this user's processes alone, from the first moment.
            before = os.umask(0o177)
            try:
                listening.bind(path)
            finally:
                os.umask(before)
        listening.listen(256)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening, path


def _remove_stale(path: str) -> None:
    """Removes the socket of an agent that is dead; of a living one it is in use, and any other file is not ours."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


# --- The program ----------------------------------------------------------------------------------------------------


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """``gradflow-agent``: serves until SIGTERM or SIGINT; the exit status is 0 then, 2 if it cannot start."""
    parser = argparse.ArgumentParser(
        prog="gradflow-agent",
        description="Publishes the gradients of all ranks of this host over one connection to Kafka. Ranks find it by "
        "GRADFLOW_AGENT, or watch(agent=...), with the address given to --listen.",
        epilog="GRADFLOW_KAFKA_SECURITY_PROTOCOL sets librdkafka's security.protocol, and so on. SIGTERM and SIGINT "
        "end it within two seconds; what Kafka has not taken by then is counted as failed.",
    )
    parser.add_argument(
        "--listen",
        required=True,
        metavar="ADDRESS",
        help="unix:/path (for this user alone), 127.0.0.1:PORT or [::1]:PORT",
    )
    parser.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT,...",
        default=os.environ.get("GRADFLOW_BOOTSTRAP_SERVERS", ""),
        help="of Kafka; GRADFLOW_BOOTSTRAP_SERVERS by default",
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        if not given.bootstrap_servers.strip():
            raise ValueError("--bootstrap-servers: expected HOST:PORT,..., got none: give it, or set the environment")
        agent = Agent(given.listen, given.bootstrap_servers, kafka_properties(os.environ))
    except (ValueError, OSError) as e:
        why = str(e) if isinstance(e, ValueError) else f"--listen: cannot listen at {given.listen}: {e.strerror or e}"
        print(f"gradflow-agent: {why}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    LOG.info("gradflow-agent listens at %s and publishes to %s", agent.where, given.bootstrap_servers)
    agent.serve()
    LOG.info("gradflow-agent ends: %d received, %d sent, %d failed", agent.received, agent.sent, agent.failed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
