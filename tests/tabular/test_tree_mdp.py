"""A tree small enough to solve by hand, in which CD and Q# part.

The reference goes left or right with probability 1/2. Left pays 0.1. Right
leads to a second choice of the reference: it wins 1 with probability 0.05, else
nothing. Q# knows that a lucky right is worth a lot to a policy that can choose
again; CD sees a mean of 0.05 and goes left.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.ops import distributions
from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular import solve

TREE = mdp_lib.tree()
EXACT = solve.exact_distributions(TREE)
POLICIES = {"qsharp": solve.qsharp, "cd": solve.cd}


def play(method, eta):
  log_probs = POLICIES[method](TREE, EXACT, eta=eta)
  outcome = solve.evaluate(TREE, log_probs, eta=eta)
  return float(jnp.exp(log_probs[0, 0])), outcome


def test_soft_value_of_going_right():
  q_values, values = solve.soft_values(TREE, eta=0.1)
  # 0.1 ln(0.95 + 0.05 e^10) and 0.1 ln((e^1 + e^7.0051) / 2).
  np.testing.assert_allclose(q_values[0], [0.1, 0.70051], atol=5e-6)
  np.testing.assert_allclose(values[0], 0.63144, atol=5e-6)


def test_the_laws_and_their_log_moments():
  np.testing.assert_allclose(EXACT.atoms, [0, 0.1, 1])
  probs = np.exp(EXACT.log_probs[0])
  np.testing.assert_allclose(probs, [[0, 1, 0], [0.95, 0, 0.05]], atol=1e-9)
  q_root = 0.1 * distributions.log_mean_exp(
    jnp.array(EXACT.log_probs[0]), jnp.array(EXACT.atoms), eta=0.1
  )
  np.testing.assert_allclose(q_root, [0.1, 0.70051], atol=5e-6)


@pytest.mark.parametrize(
  "method, left, reward, kl, objective",
  [
    # The mean says left, the chance of a win says right.
    ("cd", 0.6225, 0.4395, 1.158, 0.3237),
    ("qsharp", 0.0025, 0.9969, 3.655, 0.6314),
  ],
)
def test_what_both_policies_do(method, left, reward, kl, objective):
  go_left, outcome = play(method, 0.1)
  assert go_left == pytest.approx(left, abs=5e-5)
  assert outcome.reward == pytest.approx(reward, abs=5e-5)
  assert outcome.kl == pytest.approx(kl, abs=5e-4)
  assert outcome.objective == pytest.approx(objective, abs=5e-5)


@pytest.mark.parametrize("eta", [0.03, 0.1, 0.3, 1.0])
def test_qsharp_attains_the_value_of_the_root_and_cd_does_not(eta):
  optimum = float(solve.soft_values(TREE, eta=eta)[1][0])
  _, qsharp = play("qsharp", eta)
  _, cd = play("cd", eta)
  assert qsharp.objective == pytest.approx(optimum, abs=2e-6)
  assert cd.objective < optimum - 1e-6


def test_weak_guidance_makes_them_agree():
  for method in POLICIES:
    assert play(method, 1.0)[1].objective == pytest.approx(0.091, abs=5e-4)
