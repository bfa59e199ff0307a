from __future__ import annotations

import socket

import pytest

from gradflow.options import Options, Signals, address

NEEDED = {"GRADFLOW_BOOTSTRAP_SERVERS": "broker:9092", "GRADFLOW_RUN": "run", "GRADFLOW_ATTEMPT": "5"}


def test_the_environment_says_it_all() -> None:
    options = Options.from_environment(
        {
            **NEEDED,
            "GRADFLOW_RANK": "3",
            "GRADFLOW_WORLD_SIZE": "8",
            "GRADFLOW_STREAM": "generator",
            "GRADFLOW_COORDS": "0, 3",
            "GRADFLOW_HOST": "node-1",
            "GRADFLOW_DEVICE": "cuda:3",
            "GRADFLOW_QUEUE": "16",
            "GRADFLOW_EVERY": "4",
            "GRADFLOW_SIGNALS": "moments,histogram:20",
            "GRADFLOW_ENABLED": "true",
            "GRADFLOW_AGENT": "unix:/run/gradflow.sock",
            "GRADFLOW_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        }
    )
    assert options == Options(
        bootstrap_servers="broker:9092",
        run="run",
        attempt=5,
        rank=3,
        world_size=8,
        stream="generator",
        coords=(0, 3),
        host="node-1",
        device="cuda:3",
        queue=16,
        every=4,
        signals=Signals({"moments": 1, "histogram": 20}),
        enabled=True,
        agent="unix:/run/gradflow.sock",
        kafka={"security.protocol": "SASL_SSL"},
    )


def test_the_rest_is_as_by_default() -> None:
    options = Options.from_environment({**NEEDED, "HOSTNAME": "node-7"})
    assert (options.rank, options.world_size, options.stream, options.coords) == (0, 1, "main", None)
    assert (options.host, options.device, options.queue, options.every) == ("node-7", None, 256, 1)
    assert options.signals.every == {"moments": 1, "histogram": 10, "weights": 1}
    assert (options.enabled, options.agent, options.kafka) == (True, None, {})
    assert Options.from_environment(NEEDED).host == socket.gethostname()


@pytest.mark.parametrize(
    "environ, rank, world_size",
    [
        ({"RANK": "3", "WORLD_SIZE": "4"}, 3, 4),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "6"}, 5, 6),
        ({"RANK": "3", "WORLD_SIZE": "4", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, 3, 4),
        ({"RANK": "3", "WORLD_SIZE": "4", "GRADFLOW_RANK": "7", "GRADFLOW_WORLD_SIZE": "9"}, 7, 9),
    ],
)
def test_the_launcher_says_the_rank(environ: dict, rank: int, world_size: int) -> None:
    options = Options.from_environment({**NEEDED, **environ})
    assert (options.rank, options.world_size) == (rank, world_size)


def test_keywords_go_before_the_environment_and_none_says_nothing() -> None:
    options = Options.from_environment(
        {**NEEDED, "GRADFLOW_QUEUE": "16", "GRADFLOW_KAFKA_SECURITY_PROTOCOL": "SSL"},
        run="other",
        queue=None,
        signals="none",
        coords=[1, 2],
        kafka={"security.protocol": "PLAINTEXT"},
    )
    assert (options.run, options.queue, options.coords) == ("other", 16, (1, 2))
    assert options.signals == Signals({})
    assert options.kafka == {"security.protocol": "PLAINTEXT"}


def test_one_rank_needs_no_shared_attempt() -> None:
    options = Options.from_environment({"GRADFLOW_BOOTSTRAP_SERVERS": "b:1", "GRADFLOW_RUN": "run"})
    assert options.attempt > 1_700_000_000_000


@pytest.mark.parametrize("off", ["0", "false", "False"])
def test_what_is_off_needs_nothing_else(off: str) -> None:
    assert not Options.from_environment({"GRADFLOW_ENABLED": off, "RANK": "1", "WORLD_SIZE": "2"}).enabled


def test_an_agent_stands_for_the_brokers() -> None:
    options = Options.from_environment({"GRADFLOW_AGENT": "127.0.0.1:7070", "GRADFLOW_RUN": "run"})
    assert (options.agent, options.bootstrap_servers) == ("127.0.0.1:7070", "")


@pytest.mark.parametrize(
    "environ, overrides, sentence",
    [
        ({"GRADFLOW_BOOTSTRAP_SERVERS": " "}, {}, "GRADFLOW_BOOTSTRAP_SERVERS: expected a value, got none"),
        ({"GRADFLOW_RUN": ""}, {}, "GRADFLOW_RUN: expected a value, got none"),
        (
            {"GRADFLOW_ATTEMPT": "", "RANK": "0", "WORLD_SIZE": "2"},
            {},
            "GRADFLOW_ATTEMPT: expected a number, the same on all ranks, got none",
        ),
        ({"GRADFLOW_RANK": "one"}, {}, "GRADFLOW_RANK: expected a number, got 'one'"),
        ({"RANK": "4", "WORLD_SIZE": "4"}, {}, "rank: expected a number of 0 to 3, got 4"),
        ({"GRADFLOW_QUEUE": "0"}, {}, "queue: expected a number of 1 to 100000, got 0"),
        ({"GRADFLOW_EVERY": "0"}, {}, "every: expected a number of 1 to"),
        ({"GRADFLOW_COORDS": "0;3"}, {}, "GRADFLOW_COORDS: expected a number, got '0;3'"),
        ({"GRADFLOW_COORDS": "-1"}, {}, "coords: expected a number of 0 to"),
        ({"GRADFLOW_ENABLED": "maybe"}, {}, "GRADFLOW_ENABLED: expected 1, 0, true or false, got 'maybe'"),
        ({"GRADFLOW_SIGNALS": "moment"}, {}, "GRADFLOW_SIGNALS: expected none, or each once of moments, histogram"),
        ({"GRADFLOW_AGENT": "node-2:70"}, {}, "agent: expected unix:/path, or 127.0.0.1:port"),
        ({}, {"run": "x" * 501}, "run: expected a name of 1 to 500 characters"),
        ({}, {"signals": "dots,dots"}, "signals: expected none, or each once of"),
        ({}, {"attempt": -1}, "attempt: expected a number of 0 to"),
    ],
)
def test_what_is_wrong_is_named(environ: dict, overrides: dict, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        Options.from_environment({**NEEDED, **environ}, **overrides)
    assert str(refused.value).startswith(sentence)


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="expected options of bootstrap_servers, .*got querk"):
        Options.from_environment(NEEDED, querk=1)


@pytest.mark.parametrize(
    "text, every",
    [
        ("none", {}),
        ("moments", {"moments": 1}),
        (" moments , histogram:10,sketch: 50", {"moments": 1, "histogram": 10, "sketch": 50}),
        ("hash,weights,dots:2", {"hash": 1, "weights": 1, "dots": 2}),
    ],
)
def test_signals_are_read_as_the_jvm_side_reads_them(text: str, every: dict) -> None:
    assert Signals.parse(text).every == every


@pytest.mark.parametrize("text", ["", "moments,", "moments:0", "moments:x", "moments:", "MOMENTS", "none,moments"])
def test_signals_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="signals: expected none, or each once of moments, .*:n for every n-th step"):
        Signals.parse(text)


def test_signals_are_due_by_their_step() -> None:
    signals = Signals({"moments": 1, "histogram": 10})
    assert signals.due(0) == {"moments", "histogram"}
    assert signals.due(9) == {"moments"}
    assert signals.due(20) == {"moments", "histogram"}
    with pytest.raises(ValueError, match="expected moments every 1 step or more, got 0"):
        Signals({"moments": 0})


def test_addresses_are_of_this_host() -> None:
    assert address("unix:/a", "agent") == (socket.AF_UNIX, "/a")
    assert address("127.0.0.1:80", "agent") == (socket.AF_INET, ("127.0.0.1", 80))
    assert address("localhost:80", "agent") == (socket.AF_INET, ("127.0.0.1", 80))
    assert address("[::1]:80", "agent") == (socket.AF_INET6, ("::1", 80))
    for text in ("0.0.0.0:80", "10.0.0.1:80", "unix:", "127.0.0.1", "127.0.0.1:65536", ":80"):
        with pytest.raises(ValueError, match="--listen: expected unix:/path"):
            address(text, "--listen")
    with pytest.raises(ValueError, match="at most 107 bytes"):
        address("unix:/" + "x" * 107, "agent")
