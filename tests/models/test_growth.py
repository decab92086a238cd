"""New layers on trained ones: at first the model computes what it did."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from qsharp_jax import models, training


def config(**changed):
  sizes = {
    "vocab_size": 23,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "num_kv_heads": 1,
    "head_width": 8,
    "mlp_width": 24,
    "max_length": 32,
    "init_std": 0.3,
  }
  return models.DecoderConfig(**(sizes | changed))


TOKENS = jnp.arange(12).reshape(2, 6)
POSITIONS = jnp.tile(jnp.arange(6), (2, 1))
BIASED = {"qkv_bias": True, "output_bias": True, "mlp_bias": True}


def drawn(decoder, seed):
  model = models.ValueModel(decoder, models.HeadConfig())
  params = nn.unbox(model.init(jax.random.key(seed), TOKENS, POSITIONS))
  noise = jax.random.normal(jax.random.key(9), params["params"]["head"].shape)
  params["params"]["head"] = noise
  return model, params


@pytest.mark.parametrize("changed", [{}, BIASED])
def test_a_grown_model_computes_what_the_old_one_did(changed):
  model, params = drawn(config(**changed), 0)
  deeper, random = drawn(config(**changed).deeper(2), 1)
  before = model.apply(params, TOKENS, POSITIONS)
  after = deeper.apply(models.grow(params, random), TOKENS, POSITIONS)
  np.testing.assert_array_equal(before, after)
  other = deeper.apply(random, TOKENS, POSITIONS)
  assert not np.allclose(before, other)


def test_windows_go_on_as_the_last_layers():
  windowed = config(sliding_windows=(None, 4))
  assert windowed.deeper(2).sliding_windows == (None, 4, 4, 4)
  assert config().deeper(2) == config(num_layers=4)


def test_frozen_layers_neither_learn_nor_decay_and_the_others_do():
  deeper, params = drawn(config().deeper(1), 0)
  optimizer = training.adamw(
    learning_rate=0.1, num_steps=9, weight_decay=0.5, num_frozen_layers=2
  )
  loss = lambda p: jnp.mean(deeper.apply(p, TOKENS, POSITIONS) ** 2)
  gradients = jax.grad(loss)(params)
  updates, _ = optimizer.update(gradients, optimizer.init(params), params)
  largest = lambda part: max(
    float(jnp.max(jnp.abs(x)))
    for x in jax.tree.leaves(updates["params"]["backbone"][part])
  )
  assert largest("layers_0") == largest("layers_1") == largest("embedding") == 0
  assert largest("layers_2") > 0 and largest("final_norm") > 0
  assert float(jnp.max(jnp.abs(updates["params"]["head"]))) > 0


def test_the_gradients_of_frozen_layers_do_not_count_in_the_norm():
  params = {"layers_0": {"w": jnp.ones(2)}, "layers_1": {"w": jnp.ones(2)}}
  huge = {"layers_0": {"w": jnp.full(2, 1e9)}, "layers_1": {"w": jnp.ones(2)}}
  none = {"layers_0": {"w": jnp.zeros(2)}, "layers_1": {"w": jnp.ones(2)}}
  optimizer = training.adamw(
    learning_rate=0.1, num_steps=9, num_frozen_layers=1
  )
  state = optimizer.init(params)
  found, wanted = (optimizer.update(g, state, params)[1] for g in (huge, none))
  jax.tree.map(np.testing.assert_array_equal, found, wanted)
