"""Algorithm 1 on MDPs whose optimum is known."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qsharp_jax.tabular import learn, learners, solve
from qsharp_jax.tabular import mdp as mdp_lib

TREE = mdp_lib.tree()
EXACT = solve.exact_distributions(TREE)
SHAPE = EXACT.log_probs.shape


def win_probs(*probs):
  """Distributions of trees that differ in the chance of a win. [N, S, A, K]."""
  return np.stack(
    [
      solve.exact_distributions(mdp_lib.tree(win_prob=p), EXACT.atoms).log_probs
      for p in probs
    ]
  )


def trajectories(log_probs, num=4000):
  uniforms = jax.random.uniform(jax.random.key(1), (num, TREE.horizon + 1))
  roll_out = lambda row: learn.roll_out(
    TREE, jnp.array(EXACT.atoms), log_probs, row
  )
  return jax.device_get(jax.jit(jax.vmap(roll_out))(uniforms))


def test_labels_are_rewards_to_go_under_the_reference():
  # A policy that always goes right and then loses.
  with np.errstate(divide="ignore"):
    policy = jnp.log(jnp.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]))
  got = trajectories(policy)
  is_first_labelled = got.mask[:, 0]
  assert is_first_labelled.mean() == pytest.approx(0.5, abs=0.03)
  # Switched at once: the reference's root. Switched later: the policy's.
  actions = got.actions[:, 0]
  assert actions[is_first_labelled].mean() == pytest.approx(0.5, abs=0.04)
  assert (actions[~is_first_labelled] == 1).all()
  # The second choice is always the reference's, and wins with 0.05.
  is_right = got.actions[:, 0] == 1
  wins = got.actions[is_right, 1] == 1
  assert wins.mean() == pytest.approx(0.05, abs=0.015)
  rewards = EXACT.atoms[got.labels]
  np.testing.assert_array_equal(rewards[is_right, 1], wins)
  np.testing.assert_array_equal(rewards[is_right, 0], wins)
  assert (rewards[~is_right, 0] == 0.1).all()
  # Left ends at once: what follows is no label.
  assert not got.mask[~is_right, 1].any() and got.mask[is_right, 1].all()


LEARNERS = {
  "counts": learners.counts(SHAPE),
  "vovk": learners.vovk(win_probs(0.05, 0.001, 0.01, 0.2, 0.5)),
  "gradient": learners.gradient(SHAPE, optax.adam(0.05), num_steps=4),
}


def run(mdp, exact, learner, num_rounds, **how):
  keys = jax.random.split(jax.random.key(0), 4)
  trace = jax.jit(
    jax.vmap(
      lambda key: learn.learn(
        mdp, exact.atoms, learner, key, eta=0.1, num_rounds=num_rounds, **how
      )
    )
  )(keys)
  return jax.device_get(trace)


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS.keys())
def test_learning_finds_the_optimal_policy_of_the_tree(learner):
  trace = run(TREE, EXACT, learner, 1500)
  assert trace.sub_optimality[:, -1].max() < 1e-3
  # And the distributions that it came from.
  errors = np.exp(trace.log_distributions[:, 0]) - np.exp(EXACT.log_probs[0])
  assert abs(errors).max() < 0.05


def test_the_first_policy_is_the_reference():
  trace = run(TREE, EXACT, learners.counts(SHAPE), 1)
  ref = jnp.asarray(TREE.ref_log_probs)
  gap = solve.sub_optimality(TREE, ref, eta=0.1)
  np.testing.assert_allclose(trace.sub_optimality[:, 0], gap, rtol=1e-5)


def test_cd_keeps_its_gap_however_well_it_is_trained():
  trace = run(TREE, EXACT, learners.counts(SHAPE), 1500, policy_fn=solve.cd)
  floor = solve.sub_optimality(TREE, solve.cd(TREE, EXACT, eta=0.1), eta=0.1)
  assert floor > 0.3
  np.testing.assert_allclose(trace.sub_optimality[:, -1], floor, rtol=0.1)


def test_without_variance_learning_stops_costing_anything():
  values = (0.4, 0.5, 0.6)
  sums = {}
  for spread in (0, 0.3):
    mdp = mdp_lib.arms(values, spread=spread, eta=0.1)
    exact = solve.exact_distributions(mdp)
    each = [
      solve.exact_distributions(
        mdp_lib.arms(p, spread=spread, eta=0.1), exact.atoms
      )
      for p in itertools.permutations(values)
    ]
    learner = learners.vovk(
      np.stack([distributions.log_probs for distributions in each])
    )
    sums[spread] = run(mdp, exact, learner, 400).sub_optimality.cumsum(-1)
  assert (sums[0][:, -1] == sums[0][:, 100]).all()
  assert sums[0].max() < 1 < sums[0.3][:, -1].mean()
