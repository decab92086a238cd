"""Norms by hand, and the ways in which an MLP may be built."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from oracles import decoders

from qsharp_jax.models import layers

CONFIG = decoders.SMALLEST


def drawn(*shape, seed=0):
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(3 * values + 1, jnp.float32)


def params_of(module, x):
  """Parameters that are all different and not near their first values."""
  shapes = nn.unbox(jax.eval_shape(module.init, jax.random.key(0), x))
  leaves, structure = jax.tree.flatten(shapes)
  filled = [drawn(*leaf.shape, seed=i) for i, leaf in enumerate(leaves)]
  return jax.tree.unflatten(structure, filled)


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_norms_by_hand(kind):
  config = dataclasses.replace(CONFIG, norm=kind, norm_eps=1e-3)
  x = drawn(2, 3, 8, seed=9)
  norm = layers.Norm(config)
  params = params_of(norm, x)
  found = jax.jit(norm.apply)(params, x)
  own = {k: np.asarray(v) for k, v in params["params"].items()}
  assert own.keys() == ({"scale", "bias"} if kind == "layer" else {"scale"})
  for place in np.ndindex(2, 3):
    row = np.asarray(x)[place].astype(np.float64)
    row = row - row.mean() if kind == "layer" else row
    wanted = row / np.sqrt((row**2).mean() + 1e-3) * own["scale"]
    wanted = wanted + own.get("bias", 0)
    np.testing.assert_allclose(found[place], wanted, rtol=1e-5, atol=1e-5)


def test_a_norm_of_one_plus_its_scale():
  x = drawn(2, 3, 8, seed=9)
  plain, offset = (
    layers.Norm(dataclasses.replace(CONFIG, norm_offset=is_offset))
    for is_offset in (False, True)
  )
  params = params_of(plain, x)
  less = jax.tree.map(lambda scale: scale - 1, params)
  np.testing.assert_allclose(
    offset.apply(less, x), plain.apply(params, x), rtol=1e-5
  )
  # As drawn, both only normalise.
  first = offset.init(jax.random.key(0), x)
  np.testing.assert_allclose(
    jnp.square(offset.apply(first, x)).mean(-1), 1, rtol=1e-4
  )


def test_a_norm_over_all_heads_is_one_over_them_in_a_row():
  x = drawn(2, 3, 4, 8, seed=9)
  norm = layers.Norm(CONFIG, ("heads", "head"))
  params = params_of(norm, x)
  assert params["params"]["scale"].shape == (4, 8)
  flat = jax.tree.map(lambda scale: scale.reshape(-1), params)
  wanted = layers.Norm(CONFIG).apply(flat, x.reshape(2, 3, -1))
  np.testing.assert_allclose(
    norm.apply(params, x).reshape(2, 3, -1), wanted, rtol=1e-5
  )


@pytest.mark.parametrize(
  ("switches", "wanted"),
  [
    ({}, lambda x, a, m: (y := x + a(x)) + m(y)),
    ({"parallel_residual": True}, lambda x, a, m: x + a(x) + m(x)),
  ],
)
@pytest.mark.parametrize("places", ["pre", "post", "both"])
def test_where_a_layer_has_its_norms(switches, wanted, places):
  config = dataclasses.replace(
    CONFIG, pre_norm=places != "post", post_norm=places != "pre", **switches
  )
  x = drawn(1, 3, CONFIG.width, seed=9)
  mask = jnp.tri(3, dtype=bool)[None]
  layer = layers.Layer(config)
  run = lambda *args: layer.apply(*args, None, mask, None, 0)[0]
  shapes = nn.unbox(
    jax.eval_shape(layer.init, jax.random.key(0), x, None, mask, None, 0)
  )
  leaves, structure = jax.tree.flatten(shapes)
  params = jax.tree.unflatten(
    structure, [drawn(*leaf.shape, seed=i) for i, leaf in enumerate(leaves)]
  )
  own = params["params"]
  names = {"pre": ("norm",), "post": ("post_norm",)}.get(
    places, ("norm", "post_norm")
  )
  expected = {f"{part}_{x}" for part in ("attention", "mlp") for x in names}
  assert own.keys() == {"attention", "mlp"} | expected

  def normed(name, x):
    if name not in own:
      return x
    return layers.Norm(config).apply({"params": own[name]}, x)

  def attention(x):
    apply = layers.Attention(config).apply
    mixed, _ = apply(
      {"params": own["attention"]},
      normed("attention_norm", x),
      None,
      mask,
      None,
      0,
    )
    return normed("attention_post_norm", mixed)

  def mlp(x):
    apply = layers.MLP(config).apply
    told = apply({"params": own["mlp"]}, normed("mlp_norm", x))
    return normed("mlp_post_norm", told)

  np.testing.assert_allclose(
    run(params, x), wanted(x, attention, mlp), rtol=1e-4, atol=1e-2
  )


def test_a_norm_of_half_precision_is_computed_in_32_bits():
  x = (1000 + drawn(2, 64)).astype(jnp.bfloat16)
  norm = layers.Norm(dataclasses.replace(CONFIG, norm="layer"))
  params = params_of(norm, x)
  found = norm.apply(params, x)
  chex.assert_type(found, jnp.bfloat16)
  whole = norm.apply(params, x.astype(jnp.float32)).astype(jnp.bfloat16)
  chex.assert_trees_all_equal(found, whole)


@pytest.mark.parametrize("is_gated", [True, False])
@pytest.mark.parametrize("has_bias", [True, False])
def test_an_mlp_by_hand(is_gated, has_bias):
  config = dataclasses.replace(
    CONFIG, gated_mlp=is_gated, mlp_bias=has_bias, activation="relu"
  )
  x = drawn(2, 3, CONFIG.width, seed=9)
  mlp = layers.MLP(config)
  params = params_of(mlp, x)
  own = params["params"]
  assert own.keys() == {"up", "down"} | ({"gate"} if is_gated else set())

  def through(name, x):
    bias = np.asarray(own[name]["bias"]) if has_bias else 0
    return x @ np.asarray(own[name]["kernel"]).T + bias

  inner = through("up", np.asarray(x))
  if is_gated:
    inner *= np.maximum(through("gate", np.asarray(x)), 0)
  else:
    inner = np.maximum(inner, 0)
  found = jax.jit(mlp.apply)(params, x)
  np.testing.assert_allclose(
    found, through("down", inner), rtol=2e-4, atol=2e-3
  )
