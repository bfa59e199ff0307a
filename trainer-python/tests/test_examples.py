"""The examples train, break as they are told to, and publish what their own reference says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any, Dict, List

import pytest
from fakes import FakePublisher, by_name

from gradflow.records import LOCAL, REDUCED

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, os.pardir, "examples")


def example(rank: int, name: str, argv: List[str]) -> Any:
    import importlib

    from gradflow import watching

    sys.path.insert(0, EXAMPLES)
    publishers: List[FakePublisher] = []

    def publisher(options: Any) -> FakePublisher:
        publishers.append(FakePublisher(options))
        return publishers[-1]

    real, watching.Publisher = watching.Publisher, publisher  # type: ignore[misc, assignment]
    try:
        loss = importlib.import_module(name).train(importlib.import_module("small").arguments(argv))
    finally:
        watching.Publisher = real  # type: ignore[misc]
        sys.path.remove(EXAMPLES)
    (one,) = publishers
    return loss, one.announced, one.shards, one.events


def references(path: Any) -> List[Dict[str, Any]]:
    return [json.loads(line)["layers"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
@pytest.mark.parametrize("options", [[], ["--accumulate", "2"], ["--amp"]])
def test_an_example_publishes_what_its_reference_says(ranks: Any, tmp_path: Any, name: str, options: List[str]) -> None:
    path = tmp_path / "reference"
    both = ranks.run(example, name, ["--steps", "6", "--reference", str(path), *options])
    (manifest,) = both[0][1]
    assert both[1][1] == []
    wanted = references(path)
    assert len(wanted) == 6 and set(wanted[0]) == {layer.name for layer in manifest.layers}
    for step, layers in enumerate(wanted):
        squares: Dict[str, float] = {}
        sums: Dict[str, float] = {}
        largest: Dict[str, float] = {}
        for _, _, shards, _ in both:
            for shard in shards:
                if shard.step != step or shard.stage != REDUCED:
                    continue
                scale = shard.loss_scale or 1.0
                for layer, norm in by_name(manifest, shard.columns).items():
                    squares[layer] = squares.get(layer, 0) + (norm / scale) ** 2
                for layer, value in by_name(manifest, shard.columns, "sum_abs").items():
                    sums[layer] = sums.get(layer, 0) + value / scale
                for layer, value in by_name(manifest, shard.columns, "max_abs").items():
                    largest[layer] = max(largest.get(layer, 0), value / scale)
        assert {layer: math.sqrt(s) for layer, s in squares.items()} == pytest.approx(
            {layer: norms["l2"] for layer, norms in layers.items()}, rel=1e-6
        )
        assert sums == pytest.approx({layer: norms["l1"] for layer, norms in layers.items()}, rel=1e-6)
        assert largest == pytest.approx({layer: norms["linf"] for layer, norms in layers.items()}, rel=1e-6)
    reduced = [s for s in both[0][2] if s.stage == REDUCED]
    for shard in reduced:
        total = math.sqrt(sum(norms["l2"] ** 2 for norms in wanted[shard.step].values()))
        assert shard.reported_global_norm == pytest.approx(total, rel=1e-5)
        assert shard.clip_coef == pytest.approx(min(1, 1 / total), rel=1e-5)
    assert [event[:2] for event in both[0][3]] == [("STARTED", -1), ("FINISHED", 5)]


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_an_example_learns_and_does_the_same_again(ranks: Any, name: str) -> None:
    first = ranks.run(example, name, ["--steps", "60"])
    assert first[0][0] < 3.1 < math.log(32)
    again = ranks.run(example, name, ["--steps", "60"])
    assert again[0][0] == first[0][0]


def test_a_nan_comes_from_the_rank_and_layer_it_was_put_into(ranks: Any) -> None:
    argv = ["--steps", "4", "--fault", "nan", "--fault-rank", "1", "--fault-step", "2"]
    both = ranks.run(example, "ddp", argv)
    (manifest,) = both[0][1]

    def bad(rank: int, stage: str, step: int) -> List[str]:
        (shard,) = [s for s in both[rank][2] if (s.stage, s.step) == (stage, step)]
        layers = shard.columns.nonfinite_layers
        return [] if layers is None else [manifest.layers[i].name for i in layers]

    assert bad(0, LOCAL, 2) == [] and bad(0, LOCAL, 1) == [] and bad(1, LOCAL, 1) == []
    sick = bad(1, LOCAL, 2)
    assert sick and all(not name.startswith(("blocks.1", "blocks.2", "head")) for name in sick)
    assert bad(0, REDUCED, 2) == sick


def test_an_exploding_loss_and_a_rank_that_falls_silent(ranks: Any) -> None:
    both = ranks.run(example, "ddp", ["--steps", "4", "--fault", "exploding", "--fault-rank", "1", "--fault-step", "2"])
    norms = [
        [float((s.columns.norm.astype("f8") ** 2).sum()) ** 0.5 for s in one[2] if s.stage == LOCAL] for one in both
    ]
    assert norms[1][2] > 100 * norms[1][1] and norms[0][2] < 10 * norms[0][1]
    both = ranks.run(
        example, "ddp", ["--steps", "4", "--fault", "missing-rank", "--fault-rank", "1", "--fault-step", "2"]
    )
    assert [s.step for s in both[1][2]] == [0, 1]
    assert [s.step for s in both[0][2] if s.stage == LOCAL] == [0, 1, 2, 3]


def test_an_example_runs_under_torchrun_without_a_broker(tmp_path: Any) -> None:
    path = tmp_path / "reference"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [os.path.join(EXAMPLES, "ddp.py"), "--steps", "3", "--bootstrap-servers", "127.0.0.1:9"]
    command += ["--reference", str(path)]
    places = os.pathsep.join([os.path.join(HERE, os.pardir, "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "nothing is watched" not in done.stderr
    assert len(references(path)) == 3
