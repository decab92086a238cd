"""A tree small enough to solve by hand, in which CD and Q# part.

The reference goes left or right with probability 1/2. Left pays 0.1. Right
leads to a second choice of the reference: it wins 1 with probability 0.05, else
nothing. Q# knows that a lucky right is worth a lot to a policy that can choose
again; CD sees a mean of 0.05 and goes left.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.ops import guidance, laws, policy

ATOMS = laws.support(0.0, 1.0, 11)
REF_ROOT = jnp.log(jnp.array([0.5, 0.5]))  # left, right
REF_RIGHT = jnp.log(jnp.array([0.95, 0.05]))  # lose, win
REWARDS = jnp.array([0.0, 1.0])

# The law of the reward-to-go under the reference, after each choice.
LAW_RIGHT = jnp.log(laws.two_hot(REWARDS, ATOMS))
LAW_ROOT = jnp.log(
  jnp.stack(
    [
      laws.two_hot(0.1, ATOMS),
      jnp.sum(
        jnp.exp(REF_RIGHT)[:, None] * laws.two_hot(REWARDS, ATOMS), axis=0
      ),
    ]
  )
)


class Outcome(NamedTuple):
  left: float
  reward: float
  kl: float
  objective: float


def play(method, eta):
  """Exact outcome of guiding both choices."""
  if method == "cd":
    weigh = lambda law: guidance.cd(laws.mean(law, ATOMS), eta=eta)
  else:
    weigh = lambda law: guidance.qsharp_categorical(law, ATOMS, eta=eta)
  root = policy.tilted_log_probs(REF_ROOT, weigh(LAW_ROOT))
  right = policy.tilted_log_probs(REF_RIGHT, weigh(LAW_RIGHT))
  go_left, go_right = np.exp(root)
  reward = go_left * 0.1 + go_right * np.exp(right[1])
  kl = policy.kl_divergence(root, REF_ROOT) + go_right * policy.kl_divergence(
    right, REF_RIGHT
  )
  return Outcome(go_left, reward, float(kl), float(reward - eta * kl))


def test_soft_value_of_going_right():
  q_root = 0.1 * laws.log_mean_exp(LAW_ROOT, ATOMS, eta=0.1)
  np.testing.assert_allclose(q_root, [0.1, 0.70051], atol=5e-6)
  # The same by one step of the soft Bellman equation.
  bellman = policy.soft_value(REF_RIGHT, REWARDS, eta=0.1)
  np.testing.assert_allclose(bellman, 0.70051, atol=5e-6)


def test_cd_prefers_the_mean():
  outcome = play("cd", 0.1)
  assert round(float(outcome.left), 4) == 0.6225
  assert outcome.reward == pytest.approx(0.4395, abs=5e-5)
  assert outcome.kl == pytest.approx(1.158, abs=5e-4)
  assert outcome.objective == pytest.approx(0.3237, abs=5e-5)


def test_qsharp_prefers_the_chance():
  outcome = play("qsharp", 0.1)
  assert outcome.left == pytest.approx(0.0025, abs=5e-5)
  assert outcome.reward == pytest.approx(0.9969, abs=5e-5)
  assert outcome.kl == pytest.approx(3.655, abs=5e-4)
  assert outcome.objective == pytest.approx(0.6314, abs=5e-5)


@pytest.mark.parametrize("eta", [0.03, 0.1, 0.3, 1.0])
def test_qsharp_attains_the_value_of_the_root_and_cd_does_not(eta):
  q_root = eta * laws.log_mean_exp(LAW_ROOT, ATOMS, eta=eta)
  optimum = float(policy.soft_value(REF_ROOT, q_root, eta=eta))
  assert play("qsharp", eta).objective == pytest.approx(optimum, abs=2e-6)
  assert play("cd", eta).objective < optimum - 1e-6


def test_weak_guidance_makes_them_agree():
  for method in ["cd", "qsharp"]:
    assert play(method, 1.0).objective == pytest.approx(0.091, abs=5e-4)
