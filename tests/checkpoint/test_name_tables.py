"""Which tensors a model has, by the switches of its config."""

import dataclasses

import pytest
from oracles import decoders

from qsharp_jax import models
from qsharp_jax.checkpoint import name_tables

CONFIG = dataclasses.replace(
  decoders.SMALLEST, num_layers=2, tied_embeddings=False
)


def names(config, head=None, family="llama"):
  return {e.path: e.name for e in name_tables.entries(family, config, head)}


def test_every_layer_has_its_own_tensors():
  found = names(CONFIG)
  layers = {path.split("/")[1] for path in found if "layers_" in path}
  assert layers == {"layers_0", "layers_1"}
  assert found["backbone/layers_1/mlp/up/kernel"] == (
    "model.layers.1.mlp.up_proj.weight"
  )
  assert len(set(found.values())) == len(found)
  assert "{i}" not in "".join([*found, *found.values()])


@pytest.mark.parametrize(
  ("switch", "path"),
  [
    ("qkv_bias", "attention/query/bias"),
    ("output_bias", "attention/output/bias"),
    ("mlp_bias", "mlp/down/bias"),
  ],
)
def test_a_switch_adds_its_parameters(switch, path):
  path = f"backbone/layers_0/{path}"
  off = dataclasses.replace(CONFIG, **{switch: False})
  on = dataclasses.replace(CONFIG, **{switch: True})
  assert path not in names(off)
  assert path in names(on)


def test_a_family_with_norms_of_heads_has_them():
  path = "backbone/layers_0/attention/query_norm/scale"
  assert path in names(CONFIG, family="qwen3") and path not in names(CONFIG)


def test_what_is_read_out_depends_on_the_kind_of_model():
  tied = dataclasses.replace(CONFIG, tied_embeddings=True)
  assert "unembedding" in names(CONFIG) and "unembedding" not in names(tied)
  for kind, name in (("v", "score.weight"), ("q", "q_head.weight")):
    found = names(CONFIG, models.HeadConfig(kind, 3))
    assert found["head"] == name and "unembedding" not in found
  entry = name_tables.lm_head_as_q_head("llama", tied)
  assert entry.name == "model.embed_tokens.weight"
  entry = name_tables.lm_head_as_q_head("llama", CONFIG)
  assert entry.name == "lm_head.weight"


def test_names_of_the_backbone():
  assert name_tables.prefix("gpt2") == "transformer."
  assert name_tables.embedding("qwen2") == "model.embed_tokens.weight"
