import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import filtering as oracle

from qsharp_jax.ops import filtering


def random_log_probs(rows, vocab_size, scale=2.0, seed=0):
  logits = np.random.default_rng(seed).normal(size=(rows, vocab_size)) * scale
  log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  return log_probs.astype(np.float32)


def probs_of(log_probs):
  return np.exp(np.asarray(log_probs, np.float64))


def test_temperature_by_hand():
  logits = jnp.array([[1.0, 3.0, -jnp.inf]] * 3)
  cooled = jax.jit(filtering.apply_temperature)(
    logits, jnp.array([1.0, 0.5, 0.0])
  )
  by_hand = [[-2, 0, -np.inf], [-4, 0, -np.inf], [-np.inf, 0, -np.inf]]
  np.testing.assert_array_equal(cooled, by_hand)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_one_temperature_for_all_rows(temperature):
  apply_temperature = jax.jit(filtering.apply_temperature)
  logits, per_row = random_log_probs(3, 5), np.full(3, temperature, np.float32)
  np.testing.assert_array_equal(
    apply_temperature(logits, temperature), apply_temperature(logits, per_row)
  )


def test_temperature_is_a_division_of_logits():
  logits = random_log_probs(4, 6) + 5
  np.testing.assert_allclose(
    jax.nn.log_softmax(filtering.apply_temperature(logits, 0.7)),
    jax.nn.log_softmax(logits / 0.7),
    atol=1e-5,
  )


def test_a_tiny_temperature_does_not_overflow():
  cooled = jax.jit(filtering.apply_temperature)(
    jnp.array([[80.0, 79.0]]), jnp.array([1e-38])
  )
  np.testing.assert_array_equal(jax.nn.softmax(cooled), [[1, 0]])


def test_gradient_of_temperature_with_equal_logits():
  slopes = jax.jit(
    jax.grad(
      lambda x: jax.nn.log_softmax(filtering.apply_temperature(x, 0.5))[0, 0]
    )
  )(jnp.zeros((1, 2)))
  np.testing.assert_allclose(slopes, [[1, -1]], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 17])
def test_top_k_matches_the_oracle(k, staged):
  log_probs = random_log_probs(4, 17)
  kept = staged(lambda x: filtering.top_k(x, k=k))(log_probs)
  for row in range(4):
    expected = oracle.top_k(probs_of(log_probs[row]), k)
    np.testing.assert_allclose(np.exp(kept[row]), expected, rtol=1e-5)


def test_top_k_keeps_exactly_the_candidates_of_a_tie():
  log_probs = jnp.log(jnp.array([[0.1, 0.3, 0.3, 0.3]]))
  kept = jax.jit(lambda x: filtering.top_k(x, k=2))(log_probs)
  np.testing.assert_allclose(np.exp(kept), [[0, 0.5, 0.5, 0]], rtol=1e-6)


def test_gradient_of_top_k_is_that_of_a_smaller_softmax():
  slopes = jax.jit(
    jax.grad(lambda x: filtering.top_k(jax.nn.log_softmax(x), k=2)[1])
  )(jnp.log(jnp.array([0.1, 0.3, 0.6])))
  np.testing.assert_allclose(slopes, [0, 2 / 3, -2 / 3], atol=1e-6)


@pytest.mark.parametrize(
  "vocab_size, scale", [(7, 2.0), (3000, 0.1), (3000, 8)]
)
def test_top_p_matches_sorting(vocab_size, scale, staged):
  top_ps = np.array([0.03, 0.31, 0.5, 0.9, 0.97, 0.9999], np.float32)
  log_probs = random_log_probs(6, vocab_size, scale)
  nucleus = staged(filtering.top_p)(log_probs, top_ps)
  for row, top_p in enumerate(top_ps):
    expected = oracle.top_p(probs_of(log_probs[row]), top_p)
    np.testing.assert_array_equal(np.isfinite(nucleus[row]), expected > 0)
    np.testing.assert_allclose(np.exp(nucleus[row]), expected, rtol=2e-4)


def test_top_p_by_hand():
  log_probs = jnp.log(jnp.array([[0.5, 0.1, 0.3, 0.1]] * 4))
  nucleus = jax.jit(filtering.top_p)(
    log_probs, jnp.array([0.0, 0.4, 0.7, 0.85])
  )
  by_hand = [
    [1, 0, 0, 0],  # never empty
    [1, 0, 0, 0],
    [0.625, 0, 0.375, 0],
    [0.5, 0.1, 0.3, 0.1],  # the two last are equal: both are kept
  ]
  np.testing.assert_allclose(np.exp(nucleus), by_hand, rtol=1e-5)


def test_the_threshold_is_the_last_kept_probability():
  probs = jnp.array([[0.125, 0.5, 0.25, 0.125]] * 4)
  threshold = filtering._threshold(probs, jnp.array([0.5, 0.51, 0.75, 0.76]))
  np.testing.assert_array_equal(threshold, [0.5, 0.25, 0.25, 0.125])


def test_the_threshold_is_exact_among_tiny_probabilities():
  # Two that differ in the seventh digit: only the greater one is needed.
  probs = jnp.array([[4e-12, 2e-12, 2.000001e-12, 1e-12]])
  threshold = filtering._threshold(probs, jnp.array([5e-12]))
  assert threshold[0] == probs[0, 2] > probs[0, 1]


def test_a_top_p_of_one_changes_nothing():
  # In float32 the first token has all the mass, and yet the tail stays.
  log_probs = jnp.array([[0.0, -30.0, -200.0, -jnp.inf]] * 3)
  whole = jax.jit(filtering.top_p)(log_probs, jnp.array([1.0, 1.5, 0.9]))
  np.testing.assert_array_equal(whole[:2], log_probs[:2])
  assert np.isfinite(whole[2]).sum() == 1


def test_one_top_p_for_all_rows():
  log_probs, top_p = random_log_probs(3, 11), jax.jit(filtering.top_p)
  np.testing.assert_array_equal(
    top_p(log_probs, 0.8), top_p(log_probs, np.full(3, 0.8, np.float32))
  )


def test_no_vocabulary_is_sorted():
  program = str(jax.make_jaxpr(filtering.top_p)(jnp.zeros((2, 9)), 0.9))
  assert "sort" not in program and "top_k" not in program


def test_gradient_of_top_p_is_that_of_a_smaller_softmax():
  slopes = jax.jit(
    jax.grad(lambda x: filtering.top_p(jax.nn.log_softmax(x), 0.8)[0, 1])
  )(jnp.log(jnp.array([[0.1, 0.3, 0.6]])))
  np.testing.assert_allclose(slopes, [[0, 2 / 3, -2 / 3]], atol=1e-6)


def test_values_that_vary_do_not_recompile():
  traces = []

  @jax.jit
  def step(logits, temperature, top_p):
    traces.append(None)
    cooled = filtering.apply_temperature(logits, temperature)
    return filtering.top_p(jax.nn.log_softmax(cooled), top_p)

  for value in [0.2, 0.5, 1.0]:
    step(jnp.zeros((2, 5)), jnp.full(2, value), jnp.full(2, value))
  assert len(traces) == 1


def test_sample_by_hand():
  log_probs = jnp.log(jnp.array([[0.25, 0.0, 0.5, 0.25]] * 6))
  uniforms = jnp.array([0.0, 0.2, 0.25, 0.7, 0.75, 0.99])
  tokens = jax.jit(filtering.sample)(log_probs, uniforms)
  np.testing.assert_array_equal(tokens, [0, 0, 2, 2, 3, 3])
  assert tokens.dtype == jnp.int32


def test_sample_matches_a_walk(staged):
  log_probs = random_log_probs(200, 50)
  uniforms = np.random.default_rng(1).random(200).astype(np.float32)
  tokens = staged(filtering.sample)(log_probs, uniforms)
  expected = [
    oracle.sample(probs, uniform)
    for probs, uniform in zip(probs_of(log_probs), uniforms, strict=True)
  ]
  np.testing.assert_array_equal(tokens, expected)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24, 1.0])
def test_sample_never_returns_an_impossible_token(uniform):
  log_probs = random_log_probs(64, 1001)
  is_masked = np.random.default_rng(2).random((64, 1001)) < 0.7
  is_masked[:, [0, -1]] = True
  log_probs = np.where(is_masked, -np.inf, log_probs)
  tokens = jax.jit(filtering.sample)(log_probs, jnp.full(64, uniform))
  assert not is_masked[np.arange(64), tokens].any()


def test_sample_finds_the_only_token():
  log_probs = jnp.where(jnp.eye(9, dtype=bool), 0.0, -jnp.inf)
  for uniform in [0.0, 0.5, 1.0]:
    tokens = jax.jit(filtering.sample)(log_probs, jnp.full(9, uniform))
    np.testing.assert_array_equal(tokens, np.arange(9))


def test_sample_has_the_right_frequencies():
  probs = np.array([0.05, 0.0, 0.25, 0.7])
  uniforms = jax.random.uniform(jax.random.key(0), (20_000,))
  log_probs = jnp.broadcast_to(jnp.log(probs), (20_000, 4))
  counts = np.bincount(filtering.sample(log_probs, uniforms), minlength=4)
  np.testing.assert_allclose(counts / 20_000, probs, atol=0.015)


def test_gumbels_below_are_those_that_lost():
  # Of many draws of full noise, those that a token of probability 1/2 won.
  rng = np.random.default_rng(0)
  log_probs = np.log(np.float32([0.5, 0.3, 0.2]))
  noise = rng.gumbel(size=(200_000, 3)).astype(np.float32)
  perturbed = log_probs + noise
  greatest = perturbed.max(axis=1)
  is_won = perturbed.argmax(axis=1) == 0
  got = filtering.gumbels_below(
    jnp.asarray(np.broadcast_to(log_probs[1:], (200_000, 2))),
    jnp.asarray(rng.gumbel(size=(200_000, 2)).astype(np.float32)),
    jnp.asarray(greatest)[:, None],
  )
  got = np.asarray(got)
  assert (got <= greatest[:, None]).all()
  gaps = lambda table: greatest[is_won, None] - table[is_won]
  shares = np.linspace(0.05, 0.95, 10)
  np.testing.assert_allclose(
    np.quantile(gaps(got), shares, axis=0),
    np.quantile(gaps(perturbed[:, 1:]), shares, axis=0),
    atol=0.05,
    rtol=0.02,
  )


def test_gumbels_below_of_impossible_tokens_are_out():
  got = filtering.gumbels_below(
    jnp.array([[-jnp.inf, 0.0]]), jnp.array([[5.0, 90.0]]), 1.5
  )
  np.testing.assert_allclose(got, [[-np.inf, 1.5]])
