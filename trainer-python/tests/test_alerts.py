"""Following a run: what is told, when, to whom, and what is done about it."""

from __future__ import annotations

import io
import logging
import math
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import fastavro
import golden
import pytest

from gradflow import wire
from gradflow.alerts import Action, Alert, Evidence, Link, Suspect, decode_alert, follow

pytest.importorskip("confluent_kafka")

HANG_S = 20.0


def java(name: str) -> bytes:
    return (golden.GOLDEN / f"java-{name}.bin").read_bytes()


def encoded(**fields: Any) -> bytes:
    row: Dict[str, Any] = {
        **dict(alertId="a", incidentId="i", transition=0, runId="run", attempt=5, stream="main", state="OPENED"),
        **dict(kind="NON_FINITE", severity="CRITICAL", openedStep=7, lastStep=8, onsetStep=6, message="Not finite."),
        **fields,
    }
    out = io.BytesIO()
    out.write(wire.header("GradientAlert"))
    fastavro.schemaless_writer(out, fastavro.parse_schema(wire.schema("GradientAlert")), row)
    return out.getvalue()


# --- Reading --------------------------------------------------------------------------------------------------------


def test_an_alert_of_every_field_is_read() -> None:
    alert = decode_alert(java("alert-full"))
    assert math.isnan(alert.loss_after) and math.isnan(alert.evidence.tail[0]) and math.isnan(alert.chain[0].observed)
    expected = Alert(
        alert_id="a1",
        incident_id="i1",
        transition=2,
        run_id="run|1%",
        attempt=1_700_000_000_000,
        stream="generator",
        state="RESOLVED",
        kind="NON_FINITE",
        severity="CRITICAL",
        opened_step=7,
        last_step=9,
        onset_step=6,
        resolved_step=12,
        root_layer="decoder.0",
        root_rank=3,
        host="node-1",
        device="cuda:3",
        suspects=(Suspect("decoder.0", 3, 1.5, "node-1", "cuda:3"), Suspect(None, None, -math.inf)),
        chain=(Link(8, "DEAD_LAYER", "decoder.1", 5, math.nan), Link(9, "STRAGGLER", None, None, 1.0)),
        evidence=Evidence(1.0, 0.0, "elements", (-1, 1 << 40), (math.nan, 1.0)),
        message="Layer decoder.0 of rank 3 is not finite.",
        advice="Lower the rate.",
        blind_spots=("no activations", "ß"),
        confidence=0.9,
        policy_version=4,
        timed=True,
        detected_at=1_700_000_000_900,
        cause="HARDWARE",
        account="decoder.0 of rank 3 NaN or Inf at step 6.",
        loss_before=2.5,
        loss_after=math.nan,
        changes=("step 4: checkpoint",),
        last_good_step=5,
        last_checkpoint=4,
        next_action="Take host node-1 out.",
    )
    assert repr(alert) == repr(expected)  # NaN equals itself in words


def test_an_alert_without_what_may_be_absent_is_read() -> None:
    assert decode_alert(java("alert-bare")) == Alert(
        **dict(alert_id="a2", incident_id="i2", transition=0, run_id="run", attempt=1, stream="main", state="OPENED"),
        **dict(kind="ADVICE_CLIP", severity="INFO", opened_step=7, last_step=7, onset_step=7, message="Clip at 1."),
    )


def test_an_alert_has_every_field_of_the_schema() -> None:
    names = {wire.snake_case(field["name"]) for field in wire.schema("GradientAlert")["fields"]}
    assert names == set(Alert.__dataclass_fields__)


def test_an_alert_of_the_first_release_is_read() -> None:
    path = Path(__file__).parents[2] / "schemas/src/test/resources/io/gradflow/schema/golden-0.1.0.properties"
    (value,) = re.findall(r"record.gradient-alerts = ((?:[0-9a-f]|\\\n\s*)+)", path.read_text())
    alert = decode_alert(bytes.fromhex(re.sub(r"\\\n\s*", "", value)))
    assert (alert.alert_id, alert.root_layer, alert.confidence, alert.cause) == ("a1", "decoder.0", 0.9, None)
    assert alert.suspects == (Suspect("decoder.0", 3, 1.5),)


# --- A topic --------------------------------------------------------------------------------------------------------


class Error:
    def __init__(self, is_fatal: bool = False) -> None:
        self._fatal = is_fatal

    def fatal(self) -> bool:
        return self._fatal

    def __str__(self) -> str:
        return "an error of the client"


class Message:
    def __init__(self, partition: int, offset: int, key: bytes, value: Optional[bytes], error: Any = None) -> None:
        self._all = (partition, offset, key, value, error)

    def partition(self) -> int:
        return self._all[0]

    def offset(self) -> int:
        return self._all[1]

    def key(self) -> bytes:
        return self._all[2]

    def value(self) -> Optional[bytes]:
        return self._all[3]

    def error(self) -> Any:
        return self._all[4]


class Partition:
    error = None

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Topic:
    """Two partitions of alerts, and the consumers that read them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.messages: Dict[int, List[Message]] = {0: [], 1: []}
        self.times: Dict[int, List[int]] = {0: [], 1: []}
        self.consumers: List[Consumer] = []
        self.errors: List[Any] = []
        self.answers = True

    def __call__(self, configuration: Any) -> Consumer:
        with self.changed:
            self.consumers.append(Consumer(self, configuration))
            return self.consumers[-1]

    def publish(self, value: Optional[bytes], key: bytes = b"run", partition: int = 0, at: int = 1 << 50) -> None:
        with self.changed:
            self.messages[partition].append(Message(partition, len(self.messages[partition]), key, value))
            self.times[partition].append(at)
            self.changed.notify_all()

    def await_that(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HANG_S
        with self.changed:
            while not condition():
                assert self.changed.wait(deadline - time.monotonic()), "it did not come to that"

    def await_all_read(self, upto: int = 1) -> None:
        """Waits until a consumer was told that there is nothing more."""
        with self.changed:
            asked = self.consumers[-1].idle if self.consumers else 0
        self.await_that(lambda: bool(self.consumers) and self.consumers[-1].idle > asked + upto)


class Consumer:
    def __init__(self, topic: Topic, configuration: Any) -> None:
        self.topic = topic
        self.configuration = configuration
        self.positions: Dict[int, int] = {}
        self.closed = False
        self.idle = 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        if not self.topic.answers:
            raise RuntimeError("nobody there")
        return Partition(topics={topic: Partition(partitions=dict(self.topic.messages))})

    def offsets_for_times(self, partitions: Any, timeout: float) -> Any:
        found = []
        for partition in partitions:
            times = self.topic.times[partition.partition]
            later = [i for i, at in enumerate(times) if at >= partition.offset]
            if partition.offset == -1:
                later = [len(times)]
            found.append(Partition(offset=later[0] if later else -1))
        return found

    def assign(self, partitions: Any) -> None:
        with self.topic.changed:
            self.positions = {partition.partition: partition.offset for partition in partitions}
            self.topic.changed.notify_all()

    def poll(self, timeout: float) -> Optional[Message]:
        with self.topic.changed:
            for _ in range(2):
                if self.topic.errors:
                    return Message(0, 0, b"", None, self.topic.errors.pop(0))
                for partition, offset in self.positions.items():
                    if offset < len(self.topic.messages[partition]):
                        self.positions[partition] += 1
                        return self.topic.messages[partition][offset]
                self.idle += 1
                self.topic.changed.notify_all()
                self.topic.changed.wait(timeout)
            return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def following(topic: Topic, monkeypatch: Any) -> Iterator[Callable[..., Any]]:
    for name in ("RUN", "BOOTSTRAP_SERVERS", "ATTEMPT", "AGENT", "ENABLED"):
        monkeypatch.delenv(f"GRADFLOW_{name}", raising=False)
    made: List[Any] = []

    def start(**more: Any) -> Any:
        arguments = {**dict(run="run", bootstrap_servers="b:1", attempt=5, consumer_factory=topic), **more}
        made.append(follow(**arguments))
        return made[-1]

    yield start
    for follower in made:
        follower.close()
    assert all(consumer.closed for consumer in topic.consumers)


def test_every_transition_is_told_once(topic: Topic, following: Any) -> None:
    told: List[Alert] = []
    following(on_alert=told.append)
    topic.publish(encoded(transition=0))
    topic.publish(encoded(transition=1, state="UPDATED"))
    topic.publish(encoded(transition=0))  # at least once is what the jobs promise
    topic.publish(encoded(transition=0, incidentId="j"), partition=1)
    topic.publish(encoded(transition=2, state="RESOLVED"))
    topic.await_all_read()
    assert [(alert.transition, alert.state) for alert in told if alert.incident_id == "i"] == [
        *((0, "OPENED"), (1, "UPDATED"), (2, "RESOLVED")),
    ]
    assert len(told) == 4


def test_only_the_run_and_its_attempt_and_stream_are_told(topic: Topic, following: Any) -> None:
    told: List[str] = []
    following(on_alert=lambda alert: told.append(alert.alert_id), stream="main")
    topic.publish(encoded(alertId="other run", runId="other"), key=b"other")
    topic.publish(encoded(alertId="older attempt", attempt=4))
    topic.publish(encoded(alertId="other stream", stream="generator"))
    topic.publish(b"not readable, and not of this run", key=b"other")
    topic.publish(encoded(alertId="own", incidentId="k"))
    topic.await_all_read()
    assert told == ["own"]


def test_any_attempt_is_told_where_none_is_named(topic: Topic, following: Any) -> None:
    told: List[int] = []
    topic.publish(encoded(attempt=3, incidentId="before"))
    following(on_alert=lambda alert: told.append(alert.attempt), attempt=None)
    topic.await_all_read()
    topic.publish(encoded(attempt=4, incidentId="j"))
    topic.publish(encoded(attempt=5, incidentId="k"))
    topic.await_all_read()
    assert told == [4, 5]  # from now on


def test_reading_begins_with_the_attempt(topic: Topic, following: Any) -> None:
    attempt = 1_700_000_000_000
    topic.publish(encoded(attempt=attempt, incidentId="long before"), at=attempt - 700_000)
    topic.publish(encoded(attempt=attempt, incidentId="by a slow clock"), at=attempt - 1_000)
    topic.publish(encoded(attempt=attempt - 1, incidentId="of the last attempt"), at=attempt + 1)
    topic.publish(encoded(attempt=attempt, incidentId="since"), at=attempt + 2)
    told: List[str] = []
    following(on_alert=lambda alert: told.append(alert.incident_id), attempt=attempt)
    topic.await_all_read()
    topic.publish(encoded(attempt=attempt, incidentId="later"), partition=1)
    topic.await_all_read()
    assert told == ["by a slow clock", "since", "later"]


def test_nothing_is_committed_and_no_group_is_joined(topic: Topic, following: Any) -> None:
    following(kafka={"security.protocol": "SSL"})
    topic.await_all_read()
    configuration = topic.consumers[0].configuration
    assert configuration["enable.auto.commit"] is False
    assert configuration["security.protocol"] == "SSL"
    assert topic.consumers[0].positions == {0: 0, 1: 0}


def test_what_cannot_be_read_is_skipped_counted_and_said(topic: Topic, following: Any, caplog: Any) -> None:
    told: List[Alert] = []
    with caplog.at_level(logging.WARNING, "gradflow"):
        follower = following(on_alert=told.append)
        topic.publish(b"\xc3\x01" + bytes(8) + b"of a later release")
        topic.publish(b"\x00\x00\x00\x00\x01of a registry")
        topic.publish(None)
        topic.publish(encoded())
        topic.await_all_read()
    assert (follower.unreadable, len(told)) == (3, 1)
    assert "gradient-alerts-0@0 is skipped, 1 so far: expected the fingerprint of GradientAlert" in caplog.text
    assert "upgrade gradflow here to the release of the jobs" in caplog.text


def test_a_function_that_raises_ends_nothing(topic: Topic, following: Any, caplog: Any) -> None:
    told: List[int] = []

    def on_alert(alert: Alert) -> None:
        told.append(alert.transition)
        raise KeyError("mine")

    following(on_alert=on_alert)
    topic.publish(encoded(transition=0))
    topic.publish(encoded(transition=1))
    topic.await_all_read()
    assert told == [0, 1]
    assert "on_alert failed on alert a, following goes on" in caplog.text
    assert "KeyError: 'mine'" in caplog.text


def test_it_goes_on_where_it_was(topic: Topic, following: Any) -> None:
    told: List[str] = []
    topic.answers = False
    following(on_alert=lambda alert: told.append(alert.incident_id), attempt=None)
    topic.await_that(lambda: len(topic.consumers) >= 1)
    topic.answers = True
    topic.await_all_read()
    topic.publish(encoded(incidentId="i"))
    topic.await_all_read()
    connected = len(topic.consumers)
    topic.errors += [Error(), Error(is_fatal=True)]
    topic.publish(encoded(incidentId="j"))
    topic.await_that(lambda: len(topic.consumers) > connected)
    topic.publish(encoded(incidentId="k"))
    topic.await_all_read()
    assert told == ["i", "j", "k"]


# --- Actions --------------------------------------------------------------------------------------------------------


def test_by_default_actions_are_only_said(topic: Topic, following: Any, caplog: Any) -> None:
    done: List[Alert] = []
    with caplog.at_level(logging.WARNING, "gradflow"):
        follower = following(actions={"stop": done.append})
        topic.publish(encoded())
        topic.publish(encoded(transition=1, state="UPDATED"))
        topic.await_all_read()
    assert (done, follower.pending()) == ([], [])
    said = [record.getMessage() for record in caplog.records]
    assert said == ["gradflow follower of run run: dry run, would have done stop at step 8: Not finite."]


def test_actions_are_handed_out_to_the_training_loop(topic: Topic, following: Any) -> None:
    done: List[Any] = []
    follower = following(
        dry_run=False,
        actions={
            "stop": lambda alert: done.append(("stop", alert.incident_id, threading.current_thread())),
            "lower_rate": Action(lambda alert: 1 / 0, severity="WARNING", kinds={"EXPLODING_SPIKE"}),
            "page": Action(lambda alert: None, severity="INFO"),
        },
    )
    topic.publish(encoded(incidentId="grows", severity="WARNING"))
    topic.publish(encoded(incidentId="grows", transition=1, state="UPDATED"))
    topic.publish(encoded(incidentId="grows", transition=2, state="UPDATED"))
    topic.publish(encoded(incidentId="spike", kind="EXPLODING_SPIKE", severity="WARNING"))
    topic.publish(encoded(incidentId="over", state="RESOLVED"))
    topic.await_all_read()
    assert done == []
    due = follower.pending()
    assert [(one.name, one.alert.incident_id, one.alert.transition) for one in due] == [
        ("page", "grows", 0),
        ("stop", "grows", 1),
        ("lower_rate", "spike", 0),
        ("page", "spike", 0),
    ]
    due[1]()
    assert done == [("stop", "grows", threading.current_thread())]
    with pytest.raises(ZeroDivisionError):
        due[2]()
    assert follower.pending() == []


def test_actions_can_be_called_at_once(topic: Topic, following: Any) -> None:
    where: List[threading.Thread] = []

    def stop(alert: Alert) -> None:
        where.append(threading.current_thread())
        raise ValueError("mine")

    follower = following(dry_run=False, poll_in_loop=False, actions={"stop": stop})
    topic.publish(encoded())
    topic.publish(encoded(incidentId="j"))
    topic.await_all_read()
    assert len(where) == 2 and threading.current_thread() not in where
    assert follower.pending() == []


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(run=None), "GRADFLOW_RUN: expected a value, got none"),
        (dict(bootstrap_servers=None), "GRADFLOW_BOOTSTRAP_SERVERS: expected a value, got none"),
        (dict(actions={"stop": "now"}), "actions: expected a function of an alert, got 'now'"),
    ],
)
def test_what_is_wrong_is_said_at_once(following: Any, arguments: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        following(**arguments)


def test_a_filter_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a severity of INFO, WARNING, CRITICAL, got 'FATAL'"):
        Action(print, severity="FATAL")
    with pytest.raises(ValueError, match="expected a set of kinds, got the text 'NON_FINITE'"):
        Action(print, kinds="NON_FINITE")


def test_an_agent_reads_no_alerts(following: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRADFLOW_AGENT", "127.0.0.1:70")
    with pytest.raises(ValueError, match="an agent publishes, it reads no alerts"):
        following(bootstrap_servers=None)


def test_what_is_switched_off_follows_nothing(topic: Topic, following: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRADFLOW_ENABLED", "0")
    follower = following(run=None, bootstrap_servers=None)
    assert (follower.pending(), topic.consumers) == ([], [])
    follower.close()


# --- The end --------------------------------------------------------------------------------------------------------


def test_closing_does_not_wait_for_the_user(topic: Topic, following: Any) -> None:
    called, go_on = threading.Event(), threading.Event()

    def on_alert(alert: Alert) -> None:
        called.set()
        assert go_on.wait(HANG_S)

    follower = following(on_alert=on_alert)
    topic.publish(encoded())
    assert called.wait(HANG_S)
    began = time.monotonic()
    follower.close(0.2)
    assert time.monotonic() - began < 5
    go_on.set()


@pytest.mark.parametrize("broker", ["dead", "silent"])
def test_closing_takes_two_seconds_without_a_broker(broker: str, monkeypatch: Any) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        at = "127.0.0.1:1" if broker == "dead" else f"127.0.0.1:{listening.getsockname()[1]}"
        follower = follow(run="run", bootstrap_servers=at, attempt=1)
        deadline = time.monotonic() + HANG_S
        while follower._consumer is None and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert follower._consumer is not None
        began = time.monotonic()
        follower.close()
        assert time.monotonic() - began < 2.5


def test_a_forked_child_follows_nothing_and_ends() -> None:
    script = """
        import os, sys, time
        from gradflow.alerts import follow
        follower = follow(run="run", bootstrap_servers="127.0.0.1:1", attempt=1, actions={"stop": print}, dry_run=False)
        deadline = time.monotonic() + 20
        while follower._consumer is None and time.monotonic() < deadline:
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            assert follower.pending() == []
            follower.close()
            sys.exit(5)  # with the interpreter's whole shutdown
        assert os.waitpid(child, 0)[1] >> 8 == 5
        follower.close()
        print("both ended")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=HANG_S * 3,
    )
    assert done.stdout == "both ended\n", done.stderr
