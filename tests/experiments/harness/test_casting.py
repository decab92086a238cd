"""The small model that some variants train may be of any family."""

import types

import pytest

from experiments.configs import gsm8k
from experiments.harness import casting
from qsharp_jax.checkpoint import families


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_reference_of_every_family_has_the_sizes_asked_for(family):
  config = gsm8k.get_config("tiny")
  config.pretrain.family = family
  tokenizer = types.SimpleNamespace(vocab_size=101)
  found = casting.own_reference(config, tokenizer)
  own = config.pretrain
  assert found.num_kv_heads == found.num_heads == own.num_heads
  assert found.head_width == own.width // own.num_heads
  assert found.query_scalar is None
  assert found.mlp_width == own.width * (3 if found.gated_mlp else 4)
  # And it can be saved.
  assert families.to_hf(found, family)["model_type"] == family
