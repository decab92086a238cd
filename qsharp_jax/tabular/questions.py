"""Many questions solved exactly, and answers to them drawn one by one.

A question is a token MDP with a reference and a reward of its own; a population
of them is what a set of test questions is drawn from.

Shape letters of this file: N questions, S states and A actions of each, P paths
(whole sequences of tokens), Q questions drawn, n answers to each of those.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax.core import seeds
from qsharp_jax.ops import kl as kl_ops
from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular import solve
from qsharp_jax.tabular.mdp import MDP

# From a generator to the reward of a whole sequence of tokens.
RewardDraw = Callable[[np.random.Generator], Callable[[tuple[int, ...]], float]]


class Policy(NamedTuple):
  """A policy on every question.

  Attributes:
    probs: of each path. Shape [N, P].
    kl: to the reference, summed over the states of each path, nats. Shape
      [N, P].
    objective: mean reward - eta KL, exactly. Shape [N].
  """

  probs: np.ndarray
  kl: np.ndarray
  objective: np.ndarray


class Population(NamedTuple):
  """Questions, and what is exactly true of them.

  Attributes:
    rewards: of each path. Shape [N, P].
    policies: `reference`, `qsharp` and `cd`, with exact values at eta.
    optimum: soft value of the root by dynamic programming. Shape [N].
    front_kl: KL of the optimal policy at each of `etas`. Shape [L, N].
    front_reward: mean reward of the same. Shape [L, N].
  """

  rewards: np.ndarray
  policies: Mapping[str, Policy]
  optimum: np.ndarray
  front_kl: np.ndarray
  front_reward: np.ndarray


class Answers(NamedTuple):
  """Answers to the questions that were drawn. Each [Q, n]."""

  rewards: np.ndarray
  kl: np.ndarray


def additive_reward(
  generator: np.random.Generator, *, horizon: int = 3, vocab_size: int = 3
) -> Callable[[tuple[int, ...]], float]:
  """A normal number for each token at each place, added up; deviation 0.3."""
  weights = generator.normal(size=(horizon, vocab_size))
  weights *= 0.3 / np.sqrt(horizon)
  return lambda tokens: float(sum(weights[i, t] for i, t in enumerate(tokens)))


def population(
  seed: int,
  *,
  eta: float,
  etas: Sequence[float],
  num_questions: int = 32,
  reward_draw: RewardDraw = additive_reward,
) -> Population:
  """Random questions of three tokens out of three, solved.

  Args:
    seed: of references and rewards.
    eta: KL weight of policies, objectives and optimum, in reward units.
    etas: those of the front.
    num_questions: N.
    reward_draw: a reward for each question; any real numbers.
  """
  generator = np.random.default_rng(seeds.stable_seed(seed, "rewards"))
  mdps = [
    mdp_lib.tokens(
      reward_draw(generator),
      vocab_size=3,
      horizon=3,
      seed=seeds.stable_seed(seed, "reference", i),
    )
    for i in range(num_questions)
  ]
  stacked = jax.tree.map(lambda *tables: np.stack(tables), *mdps)
  exact = jax.tree.map(lambda *x: np.stack(x), *map(_distributions, mdps))
  solved = jax.device_get(
    _solve(stacked, exact, jnp.float32(eta), jnp.asarray(etas, jnp.float32))
  )
  states, actions = _paths(mdps[0])
  return Population(
    rewards=stacked.rewards[:, states, actions].sum(axis=-1),
    policies={
      name: Policy(
        np.exp(np.float64(log_probs)[:, states, actions].sum(axis=-1)),
        kls[:, states].sum(axis=-1),
        objective,
      )
      for name, (log_probs, kls, objective) in solved["policies"].items()
    },
    optimum=solved["optimum"],
    front_kl=solved["front"].kl.T,
    front_reward=solved["front"].reward.T,
  )


def draw(
  found: Population,
  policy: str,
  questions: np.ndarray,
  *,
  num_samples: int,
  generator: np.random.Generator,
) -> Answers:
  """Independent answers of a policy to some of the questions.

  Args:
    found: the population.
    policy: a name of its policies.
    questions: indices, repeated or not. Shape [Q].
    num_samples: n, answers to each.
    generator: draws them.
  """
  own = found.policies[policy]
  cdf = own.probs[questions].cumsum(axis=-1)
  uniforms = generator.random((len(questions), num_samples))
  uniforms *= cdf[:, -1:]  # which is 1 but for rounding
  path = (cdf[:, None, :] <= uniforms[..., None]).sum(axis=-1)
  row = questions[:, None]
  return Answers(found.rewards[row, path], own.kl[row, path])


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, 0, None, None))
def _solve(
  mdp: MDP,
  exact: solve.ReturnDistributions,
  eta: jax.Array,
  etas: jax.Array,
) -> dict:
  """Policies, optimum and front of a question."""
  reference = jnp.asarray(mdp.ref_log_probs, jnp.float32)
  policies = {
    "reference": reference,
    "qsharp": solve.qsharp(mdp, exact, eta=eta),
    "cd": solve.cd(mdp, exact, eta=eta),
  }

  def best(eta):
    return solve.evaluate(mdp, solve.optimal(mdp, eta=eta), eta=eta)

  return {
    "policies": {
      name: (
        log_probs,
        kl_ops.kl_divergence(log_probs, reference),
        solve.evaluate(mdp, log_probs, eta=eta).objective,
      )
      for name, log_probs in policies.items()
    },
    "optimum": solve.soft_values(mdp, eta=eta)[1][0],
    "front": jax.vmap(best)(etas),
  }


def _distributions(mdp: MDP) -> solve.ReturnDistributions:
  """Exact distributions on as many atoms as there are paths."""
  exact = solve.exact_distributions(mdp)
  num_paths = mdp.rewards.shape[1] ** mdp.horizon
  missing = num_paths + 1 - len(exact.atoms)  # 0, of the end, is one too
  return solve.ReturnDistributions(
    np.pad(
      exact.log_probs,
      [(0, 0), (0, 0), (0, missing)],
      constant_values=-np.inf,
    ),
    np.r_[exact.atoms, exact.atoms[-1] + 1 + np.arange(missing)],
  )


def _paths(mdp: MDP) -> tuple[np.ndarray, np.ndarray]:
  """States and actions of all sequences of tokens. Each [P, horizon]."""
  num_actions = mdp.rewards.shape[1]
  actions = np.array(
    list(itertools.product(range(num_actions), repeat=mdp.horizon))
  )
  states = np.zeros_like(actions)
  for time in range(1, mdp.horizon):
    states[:, time] = mdp.next_states[states[:, time - 1], actions[:, time - 1]]
  return states, actions
