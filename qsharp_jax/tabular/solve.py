"""Exact answers: soft values, return distributions, what a policy earns.

A policy is a table of log-probabilities [S, A]. The policies of Q# and CD are
built by the functions that guide the decoder, so checking them here checks
those.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.ops import distributions, guidance
from qsharp_jax.ops import kl as kl_ops
from qsharp_jax.tabular.mdp import MDP

# Returns closer than a millionth are one atom: sums of the same rewards in
# another order differ by rounding.
_DECIMALS = 6


class Outcome(NamedTuple):
  """What a policy earns and costs, each a scalar."""

  reward: Array  # E[R], reward units
  kl: Array  # KL(pi || pi_ref) of whole trajectories, nats
  objective: Array  # E[R] - eta KL, reward units


class ReturnDistributions(NamedTuple):
  """Of the reward-to-go of every state and action, on shared atoms."""

  log_probs: ArrayLike  # [S, A, K]
  atoms: ArrayLike  # [K] increasing, reward units


def soft_values(mdp: MDP, *, eta: ArrayLike) -> tuple[Array, Array]:
  """Soft dynamic programming, backwards from the end.

  Args:
    mdp: the MDP.
    eta: KL weight, in reward units.

  Returns:
    Q* [S, A] and V* [S], in reward units, float32.

  Source: arXiv 2502.20548, the soft Bellman equations.
  """
  q_values = jnp.asarray(mdp.rewards, jnp.float32)
  ref = jnp.asarray(mdp.ref_log_probs, jnp.float32)
  values = jnp.zeros(q_values.shape[0])
  # As many sweeps as the longest path has choices.
  for _ in range(mdp.horizon):
    q_values = mdp.rewards + values[mdp.next_states]
    values = kl_ops.soft_value(ref, q_values, eta=eta).at[-1].set(0)
  return q_values, values


def optimal(mdp: MDP, *, eta: ArrayLike) -> Array:
  """The optimal policy of the dynamic programme. Shape [S, A]."""
  q_values, _ = soft_values(mdp, eta=eta)
  return kl_ops.optimal_log_probs(_reference(mdp), q_values, eta=eta)


def qsharp(mdp: MDP, learnt: ReturnDistributions, *, eta: ArrayLike) -> Array:
  """The policy that Q# induces from distributions. Shape [S, A]."""
  weights = guidance.qsharp_categorical(
    jnp.asarray(learnt.log_probs), jnp.asarray(learnt.atoms), eta=eta
  )
  return kl_ops.tilted_log_probs(_reference(mdp), weights)


def cd(mdp: MDP, learnt: ReturnDistributions, *, eta: ArrayLike) -> Array:
  """The policy that controlled decoding induces from them. Shape [S, A]."""
  means = distributions.mean(
    jnp.asarray(learnt.log_probs), jnp.asarray(learnt.atoms)
  )
  weights = guidance.cd(means, eta=eta)
  return kl_ops.tilted_log_probs(_reference(mdp), weights)


def evaluate(mdp: MDP, log_probs: Array, *, eta: ArrayLike) -> Outcome:
  """Expected reward, trajectory KL and objective of any policy.

  Args:
    mdp: the MDP.
    log_probs: normalised log-probabilities of the policy. Shape [S, A].
    eta: KL weight of the objective, in reward units.

  Returns:
    The outcome. The KL is inf if the policy leaves the reference's support.
  """
  visits = _visits(mdp, log_probs)
  chosen = visits[:, None] * jnp.exp(log_probs)
  reward = jnp.sum(chosen * mdp.rewards)
  kl = _total(visits, kl_ops.kl_divergence(log_probs, _reference(mdp)))
  return Outcome(reward, kl, reward - eta * kl)


def sub_optimality(mdp: MDP, log_probs: Array, *, eta: ArrayLike) -> Array:
  """V*(root) minus the objective of a policy, without a difference.

  It is eta times the policy's KL to the optimal policy, over trajectories: a
  sum of terms >= 0 where a difference of objectives would leave rounding.

  Args:
    mdp: the MDP.
    log_probs: normalised log-probabilities of the policy. Shape [S, A].
    eta: KL weight, in reward units.

  Returns:
    The gap, in reward units. Scalar, >= 0.
  """
  best = optimal(mdp, eta=eta)
  visits = _visits(mdp, log_probs)
  return eta * _total(visits, kl_ops.kl_divergence(log_probs, best))


def exact_distributions(
  mdp: MDP, atoms: np.ndarray | None = None
) -> ReturnDistributions:
  """Distributions Z* of the reward-to-go under the reference, in float64.

  Args:
    mdp: the MDP.
    atoms: atoms to write the distributions on, all possible returns among them;
      by default just those. Shape [K].

  Returns:
    The distributions, equal returns merged.
  """
  rewards, probs = np.asarray(mdp.rewards), np.exp(mdp.ref_log_probs)
  end = len(rewards) - 1

  @functools.cache
  def after(state: int, action: int) -> dict[float, float]:
    nexts, distribution = int(mdp.next_states[state, action]), {}
    futures = [({0.0: 1.0}, 1.0)]
    if nexts != end:
      futures = [(after(nexts, a), p) for a, p in enumerate(probs[nexts]) if p]
    for future, p in futures:
      for rest, q in future.items():
        total = round(float(rewards[state, action] + rest), _DECIMALS) + 0.0
        distribution[total] = distribution.get(total, 0.0) + p * q
    return distribution

  pairs = np.ndindex(end, rewards.shape[1])
  table = {pair: after(*pair) for pair in pairs}
  table |= {(end, a): {0.0: 1.0} for a in range(rewards.shape[1])}
  return _on_atoms(table, rewards.shape, atoms)


def _on_atoms(table, shape, atoms) -> ReturnDistributions:
  if atoms is None:
    atoms = np.array(
      sorted({z for distribution in table.values() for z in distribution})
    )
  place = {round(float(z), _DECIMALS) + 0.0: i for i, z in enumerate(atoms)}
  probs_on_atoms = np.zeros((*shape, len(atoms)))
  for (state, action), distribution in table.items():
    for z, p in distribution.items():
      probs_on_atoms[state, action, place[z]] = p
  with np.errstate(divide="ignore"):
    return ReturnDistributions(np.log(probs_on_atoms), np.asarray(atoms))


def _reference(mdp: MDP) -> Array:
  return jnp.asarray(mdp.ref_log_probs, jnp.float32)


def _visits(mdp: MDP, log_probs: Array) -> Array:
  """Expected visits of every state but the end, which has 0. Shape [S]."""
  probs = jnp.exp(log_probs)

  def step(mass: Array, _: None) -> tuple[Array, Array]:
    flow = jnp.zeros_like(mass).at[mdp.next_states].add(mass[:, None] * probs)
    return flow.at[-1].set(0), mass

  start = jnp.zeros(probs.shape[0]).at[0].set(1)
  return jnp.sum(jax.lax.scan(step, start, length=mdp.horizon)[1], axis=0)


def _total(visits: Array, costs: Array) -> Array:
  # 0 * inf is NaN: a state that is never reached costs nothing.
  return jnp.sum(visits * jnp.where(visits > 0, costs, 0))
