"""The rule tables against the names that the models use."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from qsharp_jax import models
from qsharp_jax.sharding import rules

TABLES = {"training": rules.TRAINING, "decoding": rules.DECODING}


def used_names():
  """Every logical axis of a parameter of any kind of model."""
  names = set()
  kinds = [("rms", 1e4, "head"), ("layer", None, "projection")]
  for norm, theta, qk_norm in kinds:
    config = models.DecoderConfig(
      vocab_size=8,
      width=4,
      num_layers=1,
      num_heads=2,
      num_kv_heads=1,
      head_width=2,
      mlp_width=4,
      max_length=8,
      norm=norm,
      rope_theta=theta,
      qkv_bias=True,
      mlp_bias=True,
      output_bias=True,
      qk_norm=qk_norm,
    )
    one = jnp.zeros((1, 1), jnp.int32)
    for model in [
      models.LanguageModel(config),
      models.ValueModel(config, models.HeadConfig("q", 3)),
    ]:
      boxed = jax.eval_shape(model.init, jax.random.key(0), one, one)
      for spec in jax.tree.leaves(nn.get_partition_spec(boxed)):
        names.update(spec)
  return names - {None}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_name_of_the_models_has_exactly_one_rule(table):
  known = [name for name, _ in table]
  assert len(known) == len(set(known))
  activations = {"batch", "time", "embed_activation"}
  assert used_names() | activations == set(known)


def test_decoding_cuts_weights_over_tensor_only():
  table = dict(rules.DECODING)
  table.pop("batch")
  assert set(table.values()) == {None, "tensor"}


def test_tables_agree_on_activations():
  # Otherwise a jitted function would keep the constraints of its first call.
  train, decode = dict(rules.TRAINING), dict(rules.DECODING)
  for name in ["batch", "time", "embed_activation"]:
    assert train[name] == decode[name]
