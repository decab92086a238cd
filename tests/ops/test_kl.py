import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import differences
from oracles import kl as oracle

from qsharp_jax.ops import guidance, kl


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def softmax(logits):
  odds = np.exp(np.asarray(logits, np.float64))
  return odds / odds.sum(-1, keepdims=True)


def test_tilted_log_probs_match_the_oracle(staged):
  ref_logits, weights = normal(4, 6), normal(4, 6, seed=1)
  tilted = staged(kl.tilted_log_probs)(ref_logits, weights)
  for row in range(4):
    expected = oracle.tilt(softmax(ref_logits[row]), weights[row])
    np.testing.assert_allclose(np.exp(tilted[row]), expected, rtol=1e-5)


def test_weights_of_zero_leave_the_reference():
  ref_logits = jnp.array(normal(3, 5))
  tilted = kl.tilted_log_probs(ref_logits, jnp.zeros((3, 5)))
  np.testing.assert_array_equal(tilted, jax.nn.log_softmax(ref_logits))


def test_a_masked_token_stays_masked():
  ref_logits = jnp.array([0.0, -jnp.inf, 0.0])
  tilted = jax.jit(kl.tilted_log_probs)(
    ref_logits, jnp.array([0.0, 1e6, np.log(3)])
  )
  np.testing.assert_allclose(np.exp(tilted), [0.25, 0, 0.75], rtol=1e-6)
  slopes = jax.jit(jax.grad(lambda w: kl.tilted_log_probs(ref_logits, w)[0]))(
    jnp.zeros(3)
  )
  np.testing.assert_allclose(slopes, [0.5, 0, -0.5], atol=1e-6)


def test_half_precision_logits_are_tilted_in_float32():
  tilted = kl.tilted_log_probs(
    jnp.zeros((2,), jnp.bfloat16), jnp.array([1e-4, 0.0])
  )
  np.testing.assert_allclose(tilted[0] - tilted[1], 1e-4, rtol=1e-2)


@pytest.mark.parametrize("eta", [0.1, 1.0])
def test_optimal_policy_beats_every_other(eta):
  ref_logits, q_values = jnp.array(normal(5)), jnp.array(normal(5, seed=1))
  log_ref = jax.nn.log_softmax(ref_logits)

  def objective(log_probs):
    cost = kl.kl_divergence(log_probs, log_ref)
    return jnp.sum(jnp.exp(log_probs) * q_values) - eta * cost

  best = kl.optimal_log_probs(ref_logits, q_values, eta=eta)
  value = kl.soft_value(ref_logits, q_values, eta=eta)
  np.testing.assert_allclose(objective(best), value, atol=1e-6)
  for other in jax.nn.log_softmax(jnp.array(normal(20, 5, seed=2))):
    assert objective(other) < value
  slope = jax.jit(jax.grad(lambda x: objective(jax.nn.log_softmax(x))))(best)
  np.testing.assert_allclose(slope, np.zeros(5), atol=1e-6)


def test_eta_per_row_and_at_its_ends():
  ref_logits, q_values = normal(3, 4), normal(3, 4, seed=1)
  eta = jnp.array([[1e-3], [0.5], [jnp.inf]])
  log_probs = jax.jit(lambda r, q: kl.optimal_log_probs(r, q, eta=eta))(
    ref_logits, q_values
  )
  greedy = np.eye(4)[q_values[0].argmax()]
  np.testing.assert_allclose(np.exp(log_probs[0]), greedy, atol=1e-6)
  middle = oracle.tilt(softmax(ref_logits[1]), q_values[1] / 0.5)
  np.testing.assert_allclose(np.exp(log_probs[1]), middle, rtol=1e-5)
  np.testing.assert_array_equal(
    log_probs[2], jax.nn.log_softmax(jnp.array(ref_logits[2]))
  )


def test_soft_value_lies_between_mean_and_maximum():
  ref_logits, q_values = normal(1, 4), normal(1, 4, seed=1)
  etas = np.array([1e-3, 0.1, 1.0, 100.0], np.float32)
  values = jax.jit(lambda r, q, e: kl.soft_value(r, q, eta=e))(
    np.repeat(ref_logits, 4, 0), np.repeat(q_values, 4, 0), etas[:, None]
  )
  assert values.shape == (4,)
  assert (np.diff(values) < 0).all()
  mean = softmax(ref_logits[0]) @ q_values[0]
  np.testing.assert_allclose(values[0], q_values.max(), atol=0.01)
  np.testing.assert_allclose(values[3], mean, atol=0.01)


def test_gradient_of_the_soft_value_is_the_optimal_policy():
  ref_logits, q_values = jnp.array(normal(5)), jnp.array(normal(5, seed=1))
  slope = jax.jit(jax.grad(kl.soft_value, argnums=1))(
    ref_logits, q_values, eta=0.2
  )
  best = kl.optimal_log_probs(ref_logits, q_values, eta=0.2)
  np.testing.assert_allclose(slope, np.exp(best), rtol=1e-4)


def test_kl_matches_the_oracle(staged):
  log_p = jax.nn.log_softmax(jnp.array(normal(2, 3, 6)))
  log_q = jax.nn.log_softmax(jnp.array(normal(2, 3, 6, seed=1)))
  values = staged(kl.kl_divergence)(log_p, log_q)
  for index in np.ndindex(2, 3):
    expected = oracle.kl_divergence(
      softmax(log_p[index]), softmax(log_q[index])
    )
    np.testing.assert_allclose(values[index], expected, rtol=1e-5)


def test_kl_of_masked_tokens_by_hand():
  log_p = jnp.log(jnp.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [1, 0, 0, 0]]))
  log_q = jnp.log(
    jnp.array([[0.25, 0.25, 0.5, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
  )
  values = jax.jit(kl.kl_divergence)(log_p, log_q)
  np.testing.assert_allclose(values, [np.log(2), np.inf, np.log(2)], rtol=1e-6)


def test_gradient_of_kl_survives_masked_tokens():
  ref_logits = jnp.array([0.3, -0.2, -jnp.inf, 1.0])
  log_ref = jax.nn.log_softmax(ref_logits)
  kept = np.array([0, 1, 3])
  point = np.array([0.5, 0.1, 0.0, -0.4])

  def exact(logits):
    p = softmax(logits[kept])
    return oracle.kl_divergence(p, softmax(np.array(ref_logits)[kept]))

  def divergence(logits):
    masked = jnp.where(jnp.isfinite(ref_logits), logits, -jnp.inf)
    return kl.kl_divergence(jax.nn.log_softmax(masked), log_ref)

  slopes = jax.jit(jax.grad(divergence))(jnp.array(point))
  expected = differences.gradient(exact, point)
  np.testing.assert_allclose(slopes, expected, atol=1e-5)


def test_kl_floor_is_the_kl_of_two_outcomes(staged):
  p, q = np.array([0.0, 0.3, 0.3, 1.0, 1.0]), np.array([0.5, 0.3, 0.1, 0.2, 0])
  floors = staged(kl.kl_floor)(p, q)
  pairs = [([a, 1 - a], [b, 1 - b]) for a, b in zip(p, q, strict=True)]
  expected = [oracle.kl_divergence(*pair) for pair in pairs]
  np.testing.assert_allclose(floors, expected, rtol=1e-5, atol=1e-7)
  assert kl.kl_floor(1.0, 0.2) == pytest.approx(np.log(5))


def test_no_guidance_is_cheaper_than_the_floor_of_its_success():
  ref_logits, logits = normal(100, 8), normal(100, 8, seed=1)
  etas = np.geomspace(0.01, 10, 100).astype(np.float32)[:, None]

  @jax.jit
  def guide(ref_logits, logits):
    log_ref, success = jax.nn.log_softmax(ref_logits), jax.nn.sigmoid(logits)
    weights = guidance.qsharp_bernoulli(logits, eta=etas)
    tilted = kl.tilted_log_probs(ref_logits, weights)
    before = (jnp.exp(log_ref) * success).sum(-1)
    after = (jnp.exp(tilted) * success).sum(-1)
    floor = kl.kl_floor(after, before)
    return after - before, kl.kl_divergence(tilted, log_ref) - floor

  gained, overpaid = guide(ref_logits, logits)
  assert (gained > 0).all()
  assert (overpaid >= -1e-6).all()


def test_at_tokens_matches_a_loop(staged):
  rng = np.random.default_rng(7)
  candidates = np.stack([rng.permutation(11)[:4] for _ in range(6)])
  weights, candidates = normal(2, 3, 4), candidates.reshape(2, 3, 4)
  placed = staged(lambda w, c: kl.at_tokens(w, c, 11))(weights, candidates)
  expected = np.zeros((2, 3, 11))
  for b, t, a in np.ndindex(2, 3, 4):
    expected[b, t, candidates[b, t, a]] = weights[b, t, a]
  np.testing.assert_allclose(placed, expected)


def test_at_tokens_drops_a_token_beyond_the_vocabulary():
  placed = jax.jit(lambda w, c: kl.at_tokens(w, c, 3))(
    jnp.array([1.0, 2.0]), jnp.array([3, 0])
  )
  np.testing.assert_array_equal(placed, [2, 0, 0])


def test_gradient_of_at_tokens_goes_back_to_each_candidate():
  scale = jnp.array([1.0, 10.0, 100.0])
  slopes = jax.jit(
    jax.grad(lambda w: (kl.at_tokens(w, jnp.array([2, 0]), 3) * scale).sum())
  )(jnp.ones(2))
  np.testing.assert_array_equal(slopes, [100, 1])
