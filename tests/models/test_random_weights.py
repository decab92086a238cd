"""How random weights are drawn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from oracles import decoders

from qsharp_jax import models
from qsharp_jax.checkpoint import families

# Enough weights for a deviation within a few percent.
WIDE = dataclasses.replace(
  decoders.SMALLEST,
  vocab_size=500,
  width=64,
  mlp_width=192,
  max_length=300,
  init_std=0.1,
)


@pytest.mark.parametrize(("wanted", "std"), [(None, 0.1), (0.3, 0.3)])
def test_embeddings_have_a_scale_of_their_own(wanted, std):
  config = dataclasses.replace(WIDE, embedding_std=wanted, rope_theta=None)
  model = models.LanguageModel(config)
  one = jnp.zeros((1, 1), jnp.int32)
  backbone = nn.unbox(model.init(jax.random.key(0), one, one))["params"][
    "backbone"
  ]
  for table in ("embedding", "positions"):
    np.testing.assert_allclose(np.std(backbone[table]), std, rtol=0.05)
  down = backbone["layers_0"]["mlp"]["down"]["kernel"]
  np.testing.assert_allclose(np.std(down), 0.1, rtol=0.05)


def test_a_saved_config_says_nothing_of_how_embeddings_were_drawn():
  config = dataclasses.replace(WIDE, embedding_std=0.3)
  assert families.from_hf(families.to_hf(config, "llama")) == WIDE
