"""What a manifest says of a model."""

from __future__ import annotations

from typing import Any, Dict

import torch
from fakes import FakePublisher
from torch import nn

import gradflow
from gradflow.model import layers_of, plain_name
from gradflow.records import Layer


def manifest_of(model: nn.Module, **options: Any) -> Dict[str, Layer]:
    watch = gradflow.watch(model, run="r", bootstrap_servers="nowhere:1", publisher=FakePublisher, **options)
    return {layer.name: layer for layer in watch.manifest.layers}


class Gated(nn.Module):
    """A mixture of experts with a router, beside a gate that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 2, bias=False)
        self.experts = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])
        self.gate_proj = nn.Linear(4, 4)


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.layers = nn.ModuleList([nn.ModuleDict({"mlp": Gated(), "norm": RMSNorm()}) for _ in range(2)])
        self.lora_A = nn.Linear(4, 1, bias=False)
        self.rnn = nn.LSTM(4, 4)
        self.scale = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(4, 10)


def test_kinds_blocks_and_depths() -> None:
    layers = manifest_of(Model())
    kinds = {name: layer.kind for name, layer in layers.items()}
    assert kinds["embed.weight"] == "EMBEDDING"
    assert kinds["layers.0.mlp.gate.weight"] == "ROUTER"
    assert kinds["layers.0.mlp.experts.1.weight"] == "EXPERT"
    assert kinds["layers.0.mlp.gate_proj.weight"] == "WEIGHT"
    assert kinds["layers.1.norm.weight"] == "NORM"
    assert kinds["lora_A.weight"] == "ADAPTER"
    assert kinds["rnn.weight_ih_l0"] == "WEIGHT" and kinds["rnn.bias_hh_l0"] == "BIAS"
    assert kinds["head.bias"] == "BIAS" and kinds["scale"] == "OTHER"
    assert layers["layers.1.mlp.gate.weight"].block == "layers.1"
    assert layers["head.weight"].block == "head" and layers["scale"].block is None
    depths = [layer.depth for layer in layers.values()]
    assert layers["head.weight"].depth == layers["head.bias"].depth == max(d for d in depths if d is not None)
    assert layers["layers.0.mlp.gate.weight"].depth < layers["layers.1.mlp.gate.weight"].depth


def test_ties_frozen_and_zero_layers_and_dtypes() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(6, 4), "body": nn.Linear(4, 4), "head": nn.Linear(4, 6)})
    model["head"].weight = model["embed"].weight
    model["body"].requires_grad_(False)
    nn.init.zeros_(model["head"].bias)
    model["body"].to(torch.bfloat16)
    layers = manifest_of(model)
    assert layers["head.weight"].tied_to == "embed.weight" and layers["embed.weight"].tied_to is None
    assert not layers["body.weight"].trainable and layers["body.weight"].dtype == "bfloat16"
    assert layers["head.bias"].zero_init and not layers["embed.weight"].zero_init
    # A tied output gives all rows of the embedding a gradient.
    assert not layers["embed.weight"].sparse
    assert manifest_of(nn.Sequential(nn.Embedding(6, 4)))["0.weight"].sparse


def test_names_are_the_models_own() -> None:
    assert plain_name("module.layers.0.weight") == "layers.0.weight"
    assert plain_name("_orig_mod.module.layers._checkpoint_wrapped_module.weight") == "layers.weight"
    assert plain_name("_fsdp_wrapped_module.a._fsdp_wrapped_module.b.weight") == "a.b.weight"
    assert plain_name("encoder.module.weight") == "encoder.module.weight"
    assert [one.name for one in layers_of(nn.DataParallel(nn.Linear(2, 1)))] == ["weight", "bias"]


def test_names_are_made_unique_and_short_enough() -> None:
    model = nn.ModuleDict({"module": nn.Linear(2, 2, bias=False), "a" * 600: nn.Linear(2, 2, bias=False)})
    model.register_parameter("weight", nn.Parameter(torch.ones(1)))
    names = [one.name for one in layers_of(model)]
    assert len(set(names)) == 3 and all(len(name) <= 500 for name in names)


def test_names_are_made_global_over_the_stages_of_a_pipeline() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(6, 4), "head": nn.Linear(4, 6, bias=False)})
    model["head"].weight = model["embed"].weight
    layers = manifest_of(model, layer_name=lambda name: f"stage3.{name}")
    assert list(layers) == ["stage3.embed.weight", "stage3.head.weight"]
    assert layers["stage3.head.weight"].tied_to == "stage3.embed.weight"


def test_a_hundred_thousand_layers() -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.all = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(100_000)])

    assert len(layers_of(Many())) == 100_000
