"""New layers on trained ones: at first the model computes what it did."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models, training
from qsharp_jax.training import step

SMALL = dataclasses.replace(decoders.SMALLEST, num_layers=2)
TOKENS = jnp.arange(12).reshape(2, 6) % SMALL.vocab_size
POSITIONS = jnp.tile(jnp.arange(6), (2, 1))
BIASED = {"qkv_bias": True, "output_bias": True, "mlp_bias": True}


def drawn(decoder, seed):
  model = models.ValueModel(decoder, models.HeadConfig())
  return model, decoders.params(model, seed)


@pytest.mark.parametrize("changed", [{}, BIASED])
def test_a_grown_model_computes_what_the_old_one_did(changed):
  decoder = dataclasses.replace(SMALL, **changed)
  model, params = drawn(decoder, 0)
  deeper, random = drawn(decoder.deeper(2), 1)
  before = model.apply(params, TOKENS, POSITIONS)
  after = deeper.apply(models.grow(params, random), TOKENS, POSITIONS)
  np.testing.assert_array_equal(before, after)
  other = deeper.apply(random, TOKENS, POSITIONS)
  assert not np.allclose(before, other)


def test_windows_go_on_as_the_last_layers():
  windowed = dataclasses.replace(SMALL, sliding_windows=(None, 4))
  assert windowed.deeper(2).sliding_windows == (None, 4, 4, 4)
  assert SMALL.deeper(2) == dataclasses.replace(SMALL, num_layers=4)


def test_frozen_layers_neither_learn_nor_decay_and_the_others_do():
  deeper, params = drawn(SMALL.deeper(1), 0)
  optimizer = training.adamw(
    learning_rate=0.1, num_steps=9, weight_decay=0.5, num_frozen_layers=2
  )
  loss = lambda p: jnp.mean(deeper.apply(p, TOKENS, POSITIONS) ** 2)
  update = lambda p: optimizer.update(jax.grad(loss)(p), optimizer.init(p), p)
  # One program: op by op it would be hundreds of them.
  updates = jax.device_get(jax.jit(update)(params)[0])
  largest = lambda part: max(
    np.abs(x).max()
    for x in jax.tree.leaves(updates["params"]["backbone"][part])
  )
  assert largest("layers_0") == largest("layers_1") == largest("embedding") == 0
  assert largest("layers_2") > 0 and largest("final_norm") > 0
  assert np.abs(updates["params"]["head"]).max() > 0


def test_the_gradients_of_frozen_layers_do_not_count_in_the_norm():
  params = {"layers_0": {"w": jnp.ones(2)}, "layers_1": {"w": jnp.ones(2)}}
  huge = {"layers_0": {"w": jnp.full(2, 1e9)}, "layers_1": {"w": jnp.ones(2)}}
  none = {"layers_0": {"w": jnp.zeros(2)}, "layers_1": {"w": jnp.ones(2)}}
  optimizer = training.adamw(
    learning_rate=0.1, num_steps=9, num_frozen_layers=1
  )
  state = optimizer.init(params)
  update = jax.jit(optimizer.update)
  found, wanted = (update(g, state, params)[1] for g in (huge, none))
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_no_gradient_reaches_frozen_layers_and_the_others_keep_theirs():
  """Those of the layers above are what they would be without the stop."""
  deeper, params = drawn(SMALL.deeper(1), 0)

  def objective(params, batch):
    return jnp.sum(deeper.apply(params, *batch) ** 2), jnp.float32(1)

  batch = TOKENS, POSITIONS
  grads = lambda f: jax.jit(jax.grad(f, has_aux=True))(params, batch)[0]
  full = grads(objective)["params"]["backbone"]
  kept = grads(step.above(objective, 2))["params"]["backbone"]
  for name in ("embedding", "layers_0", "layers_1"):
    assert any(np.any(x) for x in jax.tree.leaves(full[name]))
    assert not any(np.any(x) for x in jax.tree.leaves(kept[name]))
  for name in ("layers_2", "final_norm"):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
      full[name],
      kept[name],
    )
  assert step.above(objective, 0) is objective
