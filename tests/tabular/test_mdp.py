"""The families of MDPs are what they say."""

import numpy as np
import pytest
from oracles import trajectories as oracle

from qsharp_jax.core.errors import InputError
from qsharp_jax.tabular import mdp as mdp_lib


def test_the_tree_has_three_ends():
  paths = list(oracle.trajectories(mdp_lib.tree(sure=0.3, win_prob=0.2)))
  assert [reward for _, reward in paths] == [0.3, 0.0, 1.0]
  ref = mdp_lib.tree(sure=0.3, win_prob=0.2).ref_log_probs
  probs = [oracle.probability(path, ref) for path, _ in paths]
  np.testing.assert_allclose(probs, [0.5, 0.4, 0.1])


def test_a_token_mdp_pays_the_function_of_all_tokens():
  reward_fn = lambda t: 100 * t[0] + 10 * t[1] + t[2]
  tokens = mdp_lib.tokens(reward_fn, vocab_size=2, horizon=3)
  paths = list(oracle.trajectories(tokens))
  assert len(paths) == 8
  for path, reward in paths:
    assert reward == reward_fn([action for _, action in path])
  np.testing.assert_allclose(np.exp(tokens.ref_log_probs).sum(-1), 1)


@pytest.mark.parametrize("size", [(0, 1), (2, 0)])
def test_a_token_mdp_needs_a_token_and_a_position(size):
  with pytest.raises(InputError, match="at least 1"):
    mdp_lib.tokens(sum, vocab_size=size[0], horizon=size[1])


def test_random_trees_follow_their_seed():
  first = mdp_lib.random_tree(3, depth=3, branching=2)
  again = mdp_lib.random_tree(3, depth=3, branching=2)
  other = mdp_lib.random_tree(4, depth=3, branching=2)
  np.testing.assert_array_equal(first.rewards, again.rewards)
  assert not np.array_equal(first.rewards, other.rewards)
  assert not np.array_equal(first.ref_log_probs, other.ref_log_probs)
  rewards = [reward for _, reward in oracle.trajectories(first)]
  assert len(set(rewards)) == 8 and 0 <= min(rewards) <= max(rewards) <= 1


@pytest.mark.parametrize("spread", [0, 0.2, 0.5])
def test_the_soft_values_of_arms_do_not_depend_on_the_spread(spread):
  values = [0.35, 0.5, 0.62]
  arms = mdp_lib.arms(values, spread=spread, eta=0.1)
  found = [oracle.soft_q_value(arms, 0, a, 0.1) for a in range(3)]
  np.testing.assert_allclose(found, values, atol=1e-9)
  # Without spread there is nothing random after the arm.
  assert len(oracle.distribution(arms, 0, 1)) == (2 if spread else 1)


def test_arms_refuse_values_beyond_the_spread():
  with pytest.raises(InputError, match="widen the spread"):
    mdp_lib.arms([0.2, 0.5], spread=0.25, eta=0.1)
