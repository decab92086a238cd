"""Populations of questions: solved exactly, and sampled as they say."""

import numpy as np
import pytest

from qsharp_jax.tabular import questions

ETA, ETAS = 0.1, (0.05, 0.1, 0.4)


@pytest.fixture(scope="module")
def found():
  return questions.population(3, eta=ETA, etas=ETAS, num_questions=8)


def test_every_path_is_there_once(found):
  assert found.rewards.shape == (8, 27)
  for policy in found.policies.values():
    np.testing.assert_allclose(policy.probs.sum(axis=1), 1, rtol=1e-5)


def test_dynamic_programming_equals_the_sum_over_paths(found):
  probs = found.policies["reference"].probs
  moments = (probs * np.exp(found.rewards / ETA)).sum(axis=1)
  np.testing.assert_allclose(found.optimum, ETA * np.log(moments), atol=1e-5)
  for kls, means, eta in zip(
    found.front_kl, found.front_reward, ETAS, strict=True
  ):
    tilted = probs * np.exp(found.rewards / eta)
    tilted /= tilted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
      means, (tilted * found.rewards).sum(axis=1), atol=1e-5
    )
    np.testing.assert_allclose(
      kls, (tilted * np.log(tilted / probs)).sum(axis=1), atol=1e-4
    )


def test_objectives_are_means_over_paths(found):
  for policy in found.policies.values():
    paid = found.rewards - ETA * policy.kl
    np.testing.assert_allclose(
      (policy.probs * paid).sum(axis=1), policy.objective, atol=1e-5
    )
  assert not found.policies["reference"].kl.any()


def test_exact_qsharp_is_optimal_and_cd_is_not(found):
  qsharp, cd = (found.policies[name].objective for name in ("qsharp", "cd"))
  np.testing.assert_allclose(qsharp, found.optimum, atol=1e-5)
  assert (cd < found.optimum - 1e-4).all()


@pytest.mark.parametrize("policy", ["reference", "qsharp"])
def test_answers_have_the_policys_mean(policy, found):
  answers = questions.draw(
    found,
    policy,
    np.array([0, 5, 5]),
    num_samples=20_000,
    generator=np.random.default_rng(0),
  )
  assert answers.rewards.shape == answers.kl.shape == (3, 20_000)
  paid = (answers.rewards - ETA * answers.kl).mean(axis=1)
  exact = found.policies[policy].objective[[0, 5, 5]]
  np.testing.assert_allclose(paid, exact, atol=0.01)
  assert paid[1] != paid[2]  # each row draws its own


def test_any_reward_can_be_asked_for():
  verdicts = lambda _: lambda tokens: float(len(set(tokens)) == 3)
  own = questions.population(
    0, eta=ETA, etas=ETAS, num_questions=2, reward_draw=verdicts
  )
  assert sorted(np.unique(own.rewards)) == [0.0, 1.0]
  np.testing.assert_allclose(
    own.policies["qsharp"].objective, own.optimum, atol=1e-5
  )
