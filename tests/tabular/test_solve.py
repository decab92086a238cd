"""Dynamic programming and evaluation against lists of all trajectories."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import trajectories as oracle

from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular import solve


def paying_on_the_way():
  """Unequal lengths, a reward in every step, a choice that never happens."""
  with np.errstate(divide="ignore"):
    ref = np.log([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [1, 0, 0]])
  return mdp_lib.MDP(
    ref_log_probs=ref,
    rewards=np.array([[0.2, -0.1, 0.5], [0.1, 0.3, 9], [0.2, 0, 9], [0] * 3]),
    next_states=np.array([[1, 2, 3], [2, 3, 3], [3, 3, 3], [3] * 3], np.int32),
    horizon=3,
  )


MDPS = {
  "tree": mdp_lib.tree(),
  "random": mdp_lib.random_tree(0, depth=3, branching=2),
  "tokens": mdp_lib.tokens(
    lambda t: (t[0] == t[2]) - 0.5 * (1 in t), vocab_size=3, horizon=3, seed=1
  ),
  "arms": mdp_lib.arms([0.4, 0.55, 0.6], spread=0.3, eta=0.1),
  "on_the_way": paying_on_the_way(),
}
every_mdp = pytest.mark.parametrize("mdp", MDPS.values(), ids=MDPS.keys())
ETAS = [0.05, 0.3, 2.0]


def choices(mdp):
  """All (state, action) that can happen, the end left out."""
  possible = np.isfinite(mdp.ref_log_probs)
  return [pair for pair in np.argwhere(possible) if pair[0] < len(possible) - 1]


def random_policy(mdp, seed=0):
  noise = np.random.default_rng(seed).normal(size=mdp.rewards.shape)
  return jax.nn.log_softmax(jnp.asarray(mdp.ref_log_probs + 2 * noise))


@every_mdp
@pytest.mark.parametrize("eta", ETAS)
def test_soft_values_match_all_trajectories(mdp, eta):
  q_values, values = jax.device_get(
    jax.jit(lambda eta: solve.soft_values(mdp, eta=eta))(eta)
  )
  for s, a in choices(mdp):
    expected = oracle.soft_q_value(mdp, s, a, eta)
    assert q_values[s, a] == pytest.approx(expected, abs=2e-5)
  assert values[0] == pytest.approx(oracle.soft_value(mdp, 0, eta), abs=2e-5)
  assert values[-1] == 0


@every_mdp
def test_any_policy_is_evaluated_exactly(mdp):
  log_probs = random_policy(mdp)
  got = solve.evaluate(mdp, log_probs, eta=0.2)
  expected = oracle.outcome(mdp, np.float64(log_probs), 0.2)
  np.testing.assert_allclose(got, expected, atol=1e-5)


@every_mdp
def test_the_reference_costs_nothing(mdp):
  log_probs = jnp.asarray(mdp.ref_log_probs, jnp.float32)
  assert solve.evaluate(mdp, log_probs, eta=0.2).kl == pytest.approx(
    0, abs=1e-6
  )


@every_mdp
def test_laws_match_all_trajectories(mdp):
  found = solve.exact_distributions(mdp)
  assert (np.diff(found.atoms) > 0).all()
  probs = np.exp(found.log_probs)
  np.testing.assert_allclose(probs.sum(-1), 1)
  for s, a in choices(mdp):
    own = oracle.distribution(mdp, s, a)
    expected = [own.pop(round(float(z), 6), 0.0) for z in found.atoms]
    np.testing.assert_allclose(probs[s, a], expected, atol=1e-12)
    assert not own


@every_mdp
@pytest.mark.parametrize("eta", ETAS)
def test_qsharp_with_exact_laws_is_the_optimal_policy(mdp, eta):
  qsharp = solve.qsharp(mdp, solve.exact_distributions(mdp), eta=eta)
  optimal = solve.optimal(mdp, eta=eta)
  np.testing.assert_allclose(jnp.exp(qsharp), jnp.exp(optimal), atol=2e-5)
  attained = solve.evaluate(mdp, optimal, eta=eta).objective
  assert attained == pytest.approx(oracle.soft_value(mdp, 0, eta), abs=1e-4)
  assert solve.sub_optimality(mdp, qsharp, eta=eta) < 1e-6


@every_mdp
@pytest.mark.parametrize("eta", ETAS)
def test_sub_optimality_is_the_gap_of_objectives(mdp, eta):
  log_probs = random_policy(mdp, seed=1)
  objective = oracle.outcome(mdp, np.float64(log_probs), eta)[2]
  gap = oracle.soft_value(mdp, 0, eta) - objective
  found = solve.sub_optimality(mdp, log_probs, eta=eta)
  assert found == pytest.approx(gap, abs=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_policy_is_better(seed):
  mdp = MDPS["random"]
  best = oracle.soft_value(mdp, 0, 0.3)
  optimal = solve.optimal(mdp, eta=0.3)
  noise = np.random.default_rng(seed).normal(size=optimal.shape)
  other = jax.nn.log_softmax(optimal + 0.3 * noise)
  assert solve.evaluate(mdp, other, eta=0.3).objective < best - 1e-4


def test_weak_guidance_makes_cd_qsharp_to_first_order():
  mdp = MDPS["random"]
  exact = solve.exact_distributions(mdp)
  gaps = []
  for eta in (2.0, 4.0, 8.0):
    qsharp, cd = (f(mdp, exact, eta=eta) for f in (solve.qsharp, solve.cd))
    gaps.append(float(jnp.max(abs(qsharp - cd))))
  # What is left is of second order in 1 / eta: a quarter at every doubling.
  np.testing.assert_allclose(np.divide(gaps[1:], gaps[:-1]), 0.25, atol=0.03)


def test_cd_with_exact_means_is_optimal_without_variance():
  mdp = mdp_lib.arms([0.4, 0.5, 0.7], spread=0, eta=0.1)
  cd = solve.cd(mdp, solve.exact_distributions(mdp), eta=0.1)
  assert solve.sub_optimality(mdp, cd, eta=0.1) < 1e-7


def test_laws_on_given_atoms():
  atoms = np.array([-1.0, 0.0, 0.1, 0.5, 1.0])
  found = solve.exact_distributions(mdp_lib.tree(), atoms)
  np.testing.assert_allclose(
    np.exp(found.log_probs[0]), [[0, 0, 1, 0, 0], [0, 0.95, 0, 0, 0.05]]
  )
