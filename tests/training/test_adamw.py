"""The optimizer: schedule, first step, decay, clipping."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qsharp_jax import training
from qsharp_jax.core.errors import InputError


def steps(optimizer, num, *, grad=1.0, param=0.0):
  """Sizes of the updates of one parameter under a constant gradient."""
  params = {"w": jnp.array([param])}
  state, sizes = optimizer.init(params), []
  for _ in range(num):
    updates, state = optimizer.update({"w": jnp.array([grad])}, state, params)
    sizes.append(float(updates["w"][0]))
  return np.array(sizes)


def rates(**settings):
  """Learning rates: Adam's steps under a constant gradient are all -1."""
  # At 0.999 the second moment's bias correction rounds in the sixth digit.
  optimizer = training.adamw(weight_decay=0.0, b2=0.95, **settings)
  return -steps(optimizer, settings["num_steps"])


def test_constant_after_the_warm_up():
  got = rates(learning_rate=0.5, num_steps=8, warmup_steps=4)
  want = [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5]
  np.testing.assert_allclose(got, want, rtol=1e-5)
  got = rates(learning_rate=0.5, num_steps=3)
  np.testing.assert_allclose(got, [0.5, 0.5, 0.5], rtol=1e-5)


def test_cosine_falls_to_a_tenth():
  got = rates(
    learning_rate=0.5, num_steps=14, warmup_steps=4, schedule="cosine"
  )
  rising = 0.5 * np.arange(4) / 4
  turn = (1 + np.cos(np.pi * np.arange(10) / 10)) / 2
  falling = 0.5 * (0.1 + 0.9 * turn)
  want = np.concatenate([rising, falling])
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_a_run_shorter_than_its_warm_up_still_reaches_its_rate(
  schedule, num_steps
):
  got = rates(
    learning_rate=0.5, num_steps=num_steps, warmup_steps=50, schedule=schedule
  )
  np.testing.assert_allclose(got[-1], 0.5, rtol=1e-5)


def test_an_unknown_schedule_is_refused():
  with pytest.raises(InputError, match="linear.*constant.*cosine"):
    training.adamw(learning_rate=0.5, num_steps=3, schedule="linear")


def test_weight_decay_is_apart_from_the_gradient():
  optimizer = training.adamw(learning_rate=0.5, num_steps=3, weight_decay=0.1)
  got = steps(optimizer, 1, grad=0.0, param=4.0)
  np.testing.assert_allclose(got, [-0.5 * 0.1 * 4.0], rtol=1e-6)


def test_clips_by_the_global_norm_before_adam():
  optimizer = training.adamw(
    learning_rate=0.5, num_steps=2, weight_decay=0.0, clip_norm=1.0
  )
  params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
  large = {"a": jnp.array([30.0]), "b": jnp.array([40.0])}
  _, state = optimizer.update(large, optimizer.init(params), params)
  moments = optax.tree_utils.tree_get(state, "mu")
  # 50 long, so cut to (0.6, 0.8); a tenth of it enters the first moment.
  np.testing.assert_allclose(moments["a"], [0.06], rtol=1e-5)
  np.testing.assert_allclose(moments["b"], [0.08], rtol=1e-5)
  small = {"a": jnp.array([0.3]), "b": jnp.array([0.4])}
  _, state = optimizer.update(small, optimizer.init(params), params)
  moments = optax.tree_utils.tree_get(state, "mu")
  np.testing.assert_allclose(moments["a"], [0.03], rtol=1e-5)


def test_what_stays_as_it_is_does_not_count_in_the_norm():
  optimizer = training.adamw(
    learning_rate=0.5, num_steps=2, clip_norm=1.0, num_frozen_layers=1
  )
  names = ("embedding", "layers_0", "layers_1")
  tree = lambda *values: {
    "params": {
      "backbone": {
        name: jnp.array([value])
        for name, value in zip(names, values, strict=True)
      }
    }
  }
  params, large = tree(1.0, 1.0, 1.0), tree(30.0, 40.0, 0.5)
  updates, state = optimizer.update(large, optimizer.init(params), params)
  moments = optax.tree_utils.tree_get(state, "mu")["params"]["backbone"]
  # 0.5 is all that counts, so it is not cut.
  np.testing.assert_allclose(moments["layers_1"], [0.05], rtol=1e-5)
  own = updates["params"]["backbone"]
  assert own["embedding"] == own["layers_0"] == 0 and own["layers_1"] != 0
