"""Learners of distributions, on labels counted by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qsharp_jax.tabular import learners


def one(state, action, label, mask=True):
  return learners.Labelled(
    *(jnp.array([x]) for x in (state, action, label, mask))
  )


def test_counts_by_hand():
  learner = learners.counts((2, 1, 3))
  state = learner.init()
  for label, mask in [(0, True), (2, True), (2, True), (1, False)]:
    state = learner.update(state, one(0, 0, label, mask))
  probs = jnp.exp(learner.log_distributions(state))
  np.testing.assert_allclose(probs[0, 0], [1 / 3, 0, 2 / 3], rtol=1e-6)
  np.testing.assert_allclose(probs[1, 0], [1 / 3] * 3, rtol=1e-6)


def test_vovk_by_hand():
  # Two coins, 1/2 and 1/4; one head: weights 2/3 and 1/3.
  coins = np.log([[[[0.5, 0.5]]], [[[0.75, 0.25]]]])
  learner = learners.vovk(coins)
  state = learner.init()
  before = jnp.exp(learner.log_distributions(state))[0, 0]
  np.testing.assert_allclose(before, [0.625, 0.375], rtol=1e-6)
  after = jnp.exp(
    learner.log_distributions(learner.update(state, one(0, 0, 1)))
  )[0, 0]
  np.testing.assert_allclose(after, [7 / 12, 5 / 12], rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_regret_of_vovk_is_at_most_the_log_of_the_class(seed):
  rng = np.random.default_rng(seed)
  hypotheses = np.log(rng.dirichlet(np.ones(3), (7, 2, 2)))
  learner = learners.vovk(hypotheses)
  # Any labels whatever, adversarial ones too: not drawn from a hypothesis.
  state, loss, losses = learner.init(), 0.0, np.zeros(7)
  update, predict = jax.jit(learner.update), jax.jit(learner.log_distributions)
  for s, a, z in rng.integers(0, (2, 2, 3), (60, 3)):
    loss -= float(predict(state)[s, a, z])
    losses -= hypotheses[:, s, a, z]
    state = update(state, one(s, a, z))
    assert loss <= losses.min() + math.log(7) + 1e-3
  # The mixture's loss has a closed form, so that the bound is no accident.
  closed = losses.min() - np.log(np.mean(np.exp(losses.min() - losses)))
  assert loss == pytest.approx(closed, abs=1e-3)


def test_a_refuted_hypothesis_is_dropped():
  with np.errstate(divide="ignore"):
    hypotheses = np.log([[[[1.0, 0.0]]], [[[0.5, 0.5]]]])
  learner = learners.vovk(hypotheses)
  state = learner.update(learner.init(), one(0, 0, 1))
  np.testing.assert_allclose(
    jnp.exp(learner.log_distributions(state))[0, 0], [0.5, 0.5], rtol=1e-6
  )


def test_gradient_finds_relative_frequencies():
  learner = learners.gradient((2, 1, 3), optax.adam(0.1), num_steps=100)
  state = learner.init()
  np.testing.assert_allclose(
    jnp.exp(learner.log_distributions(state)), 1 / 3, rtol=1e-6
  )
  for label in (0, 2, 2, 1):
    state = learner.update(state, one(0, 0, label))
  probs = jnp.exp(learner.log_distributions(state))
  np.testing.assert_allclose(probs[0, 0], [0.25, 0.25, 0.5], atol=2e-3)
  np.testing.assert_allclose(probs[1, 0], [1 / 3] * 3, rtol=1e-6)
