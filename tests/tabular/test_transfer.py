"""Transfer Q* on MDPs: values against a sum over all trajectories."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular import solve, transfer

V, T = 2, 3


def token_mdp(seed, table):
  return mdp_lib.tokens(
    lambda t: float(sum(table[i, x] for i, x in enumerate(t))),
    vocab_size=V,
    horizon=T,
    seed=seed,
  )


@pytest.fixture(scope="module")
def case():
  """An MDP, its reward's table, another reward's table and MDP."""
  ours, others = np.random.default_rng(3).normal(size=(2, T, V))
  return token_mdp(5, ours), ours, token_mdp(5, others).rewards, others


def state_of(prefix):
  """States are numbered by length, then in order."""
  prefixes = [
    p for n in range(T) for p in itertools.product(range(V), repeat=n)
  ]
  return prefixes.index(tuple(prefix))


def trajectories(mdp, table, prefix):
  """All that follow: the reference's probability, and the whole reward."""
  for rest in itertools.product(range(V), repeat=T - len(prefix)):
    whole = (*prefix, *rest)
    steps = range(len(prefix), T)
    probs = [
      np.exp(mdp.ref_log_probs[state_of(whole[:t]), whole[t]]) for t in steps
    ]
    yield np.prod(probs), sum(table[t, x] for t, x in enumerate(whole)), whole


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_direct_is_the_mean_of_the_tilted_reference(case, beta):
  mdp, ours, _, _ = case
  right = transfer.baseline(mdp, mdp.rewards, beta=beta)
  values = transfer.direct_values(mdp, right)
  for prefix in [(0,), (1, 0), (1, 1, 0)]:
    rows = list(trajectories(mdp, ours, prefix))
    weights = np.array([p * np.exp(r / beta) for p, r, _ in rows])
    wanted = weights @ [r for _, r, _ in rows] / weights.sum()
    got = values[state_of(prefix[:-1]), prefix[-1]]
    assert got == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_indirect_weighs_by_the_gap_of_rewards(case, beta):
  mdp, ours, other_rewards, others = case
  wrong = transfer.baseline(mdp, other_rewards, beta=beta)
  values = transfer.indirect_values(mdp, wrong, other_rewards, beta=beta)
  for prefix in [(0,), (1, 0), (0, 1, 1)]:
    rows = list(trajectories(mdp, ours, prefix))
    theirs = [r for _, r, _ in trajectories(mdp, others, prefix)]
    own = np.array([r for _, r, _ in rows])
    # Of the baseline, then the importance weights of its roll-outs.
    drawn = np.array(
      [p * np.exp(r / beta) for (p, _, _), r in zip(rows, theirs, strict=True)]
    )
    weights = drawn * np.exp((own - np.array(theirs)) / beta)
    wanted = weights @ own / weights.sum()
    got = values[state_of(prefix[:-1]), prefix[-1]]
    assert got == pytest.approx(wanted, abs=1e-5)


def test_indirect_is_direct_from_the_right_baseline(case):
  mdp, _, other_rewards, _ = case
  beta = 0.4
  right = transfer.baseline(mdp, mdp.rewards, beta=beta)
  wrong = transfer.baseline(mdp, other_rewards, beta=beta)
  np.testing.assert_allclose(
    transfer.indirect_values(mdp, wrong, other_rewards, beta=beta),
    transfer.direct_values(mdp, right),
    atol=1e-5,
  )


def test_a_baseline_that_was_not_aligned_gives_cd(case):
  mdp, *_ = case
  unaligned = transfer.baseline(mdp, mdp.rewards, beta=1e6)
  found = transfer.policy(
    unaligned, transfer.direct_values(mdp, unaligned), eta=0.5
  )
  wanted = solve.cd(mdp, solve.exact_distributions(mdp), eta=0.5)
  np.testing.assert_allclose(jnp.exp(found), jnp.exp(wanted), atol=1e-4)


def test_the_tree_by_hand():
  """Left pays 0.1; right 1 with probability 1/20; beta = 1 / ln 19."""
  mdp, beta = mdp_lib.tree(), 1 / np.log(19)
  right = transfer.baseline(mdp, mdp.rewards, beta=beta)
  # exp(1 / beta) = 19 makes a win as likely as a loss.
  assert float(jnp.exp(right[1, 1])) == pytest.approx(0.5, abs=1e-5)
  values = transfer.direct_values(mdp, right)
  np.testing.assert_allclose(values[0], [0.1, 0.5], atol=1e-5)
  reference = jnp.log(jnp.array([[0.5, 0.5], [0.95, 0.05], [0.5, 0.5]]))
  found = transfer.policy(reference, values, eta=0.4 / np.log(3))
  assert float(jnp.exp(found[0, 1])) == pytest.approx(0.75, abs=1e-5)
