import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import differences
from oracles import preferences as oracle

from qsharp_jax.ops import preferences


def sums(num, seed=0):
  """Four vectors of log-probabilities of sequences."""
  rng = np.random.default_rng(seed)
  return (-10 * rng.random((num, 5))).astype(np.float32).T


def test_dpo_matches_the_oracle(staged):
  values = staged(lambda *x: preferences.dpo(*x, eta=0.3))(*sums(5)[:, :4].T)
  expected = [oracle.dpo(*map(float, x), 0.3) for x in sums(5)[:, :4]]
  np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_dpo_of_equal_log_ratios_is_ln_2():
  own, ref = sums(2, seed=1)[0], sums(2, seed=2)[0]
  values = preferences.dpo(own, own - 3, ref, ref - 3, eta=0.7)
  np.testing.assert_allclose(values, np.log([2] * len(own)), rtol=1e-5)


def test_dpo_by_hand():
  # Margin (-1 + 2) - (-4 + 3) = 2; -ln sigmoid(0.5 * 2) = ln(1 + 1/e).
  value = preferences.dpo(
    *map(jnp.float32, (-1.0, -4.0, -2.0, -3.0)), eta=jnp.float32(0.5)
  )
  np.testing.assert_allclose(value, np.log1p(np.exp(-1)), rtol=1e-6)


def test_dpo_far_from_zero_stays_finite():
  value, slope = jax.value_and_grad(preferences.dpo)(
    jnp.float32(-1e5), *map(jnp.float32, (0.0, 0.0, 0.0)), eta=1.0
  )
  np.testing.assert_allclose((value, slope), (1e5, -1.0), rtol=1e-6)


def test_dpo_prefers_the_policy_of_the_optimum():
  # r = eta ln(pi / pi_ref): with rewards 1 and 0 the loss is that of a contest
  # decided with odds e^1, whatever eta is.
  for eta in (0.1, 2.0):
    value = preferences.dpo(
      *map(jnp.float32, (-3.0 + 1 / eta, -3.0, -3.0, -3.0)), eta=eta
    )
    np.testing.assert_allclose(value, np.log1p(np.exp(-1)), rtol=1e-5)


def test_rpo_matches_the_oracle(staged):
  rows, nums = sums(6)[:4], np.arange(1, 7).astype(np.float32)
  values = staged(lambda *x: preferences.rpo(*x, eta=0.2, alpha=0.8))(
    *rows, nums
  )
  expected = [
    oracle.rpo(*map(float, x), float(n), 0.2, 0.8)
    for x, n in zip(rows.T, nums, strict=True)
  ]
  np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_rpo_with_alpha_0_is_dpo():
  rows = sums(6)[:4]
  np.testing.assert_array_equal(
    preferences.rpo(*rows, jnp.full(6, 4.0), eta=0.2, alpha=0.0),
    preferences.dpo(*rows, eta=0.2),
  )


def test_rpo_of_a_row_of_padding_is_finite():
  zero = jnp.zeros(1)
  value = preferences.rpo(zero, zero, zero, zero, zero)
  np.testing.assert_allclose(value, np.log([2.0]), rtol=1e-6)


def test_cpl_matches_the_oracle(staged):
  chosen, rejected = sums(5)[:2]
  values = staged(lambda *x: preferences.cpl(*x, eta=0.2, bias=0.5))(
    chosen, rejected
  )
  expected = [
    oracle.cpl(float(a), float(b), 0.2, 0.5)
    for a, b in zip(chosen, rejected, strict=True)
  ]
  np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_cpl_on_log_ratios_without_bias_is_dpo():
  chosen, rejected, ref_chosen, ref_rejected = sums(5)[:4]
  np.testing.assert_allclose(
    preferences.cpl(
      chosen - ref_chosen, rejected - ref_rejected, eta=0.4, bias=1.0
    ),
    preferences.dpo(chosen, rejected, ref_chosen, ref_rejected, eta=0.4),
    rtol=1e-5,
  )


def test_the_bias_of_cpl_prefers_likely_sequences():
  pair = jnp.array([-1.0, -11.0]), jnp.array([-2.0, -12.0])
  biased = preferences.cpl(*pair, bias=0.5)
  assert biased[0] < biased[1]
  plain = preferences.cpl(*pair, bias=1.0)
  np.testing.assert_allclose(plain[0], plain[1], rtol=1e-6)


@pytest.mark.parametrize("name", ["dpo", "rpo", "cpl"])
def test_gradients(name):
  num = {"dpo": 4, "rpo": 4, "cpl": 2}[name]
  point = np.array(sums(1)[:num, 0], np.float64)
  extra = {"dpo": (), "rpo": (3.0,), "cpl": ()}[name]
  hyper = {"dpo": (0.3,), "rpo": (0.3, 0.7), "cpl": (0.3, 0.5)}[name]
  names = {"dpo": ("eta",), "rpo": ("eta", "alpha"), "cpl": ("eta", "bias")}
  settings = dict(zip(names[name], hyper, strict=True))
  function = lambda x: getattr(preferences, name)(
    *x, *map(jnp.float32, extra), **settings
  )
  slope = jax.jit(jax.grad(function))(jnp.array(point, jnp.float32))
  expected = differences.gradient(
    lambda x: getattr(oracle, name)(*x, *extra, *hyper), point
  )
  np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-6)


def test_shapes_must_agree():
  with pytest.raises(AssertionError):
    preferences.dpo(*[jnp.zeros(3)] * 3, jnp.zeros(1))


def test_bradley_terry_matches_the_oracle(staged):
  chosen, rejected = sums(6, seed=4)[:2] / 5
  margin = np.linspace(0, 2, len(chosen)).astype(np.float32)
  values = staged(
    lambda *x: preferences.bradley_terry(*x, centring=np.float32(0.3))
  )(chosen, rejected, margin)
  rows = zip(chosen, rejected, margin, strict=True)
  expected = [oracle.bradley_terry(*map(float, x), 0.3) for x in rows]
  np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_bradley_terry_by_hand():
  pair = jnp.float32(1.5), jnp.float32(-0.5)
  value = preferences.bradley_terry(*pair)
  np.testing.assert_allclose(value, np.log1p(np.exp(-2)), rtol=1e-6)
  value = preferences.bradley_terry(*pair, jnp.float32(2.0), centring=0.25)
  np.testing.assert_allclose(value, np.log(2) + 0.25, rtol=1e-6)


def test_bradley_terry_is_dpo_on_the_rewards_that_dpo_implies():
  own, other, ref, ref_other, _ = sums(5, seed=3)
  eta = np.float32(0.4)
  found = preferences.bradley_terry(
    eta * (own - ref), eta * (other - ref_other)
  )
  expected = preferences.dpo(own, other, ref, ref_other, eta=eta)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_centring_only_differences_count():
  chosen, rejected = sums(4, seed=5)[:2]
  slope = jax.grad(
    lambda shift: preferences.bradley_terry(
      chosen + shift, rejected + shift
    ).sum()
  )
  np.testing.assert_allclose(slope(jnp.float32(0.0)), 0.0, atol=1e-5)
