"""Transfer Q* without samples: its values by dynamic programming, its policy.

A baseline aligned to a reward R at KL weight beta is the reference tilted by
exp(R / beta), trajectory by trajectory. The values are means under it (direct),
or under what it would be, had it been aligned to the reward that counts
(indirect): the second do not depend on what the baseline was aligned to.

To second order in the spread of R, such a mean is E[R] + Var[R] / beta and the
soft value at eta is E[R] + Var[R] / (2 eta): a baseline at beta = 2 eta is the
one from which Transfer Q* is nearest to the optimum.
"""

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.ops import guidance
from qsharp_jax.ops import kl as kl_ops
from qsharp_jax.tabular import solve
from qsharp_jax.tabular.mdp import MDP


def baseline(mdp: MDP, rewards: ArrayLike, *, beta: ArrayLike) -> Array:
  """The policy aligned to rewards [S, A] at a KL weight. Shape [S, A]."""
  return solve.optimal(mdp.replace(rewards=rewards), eta=beta)


def direct_values(mdp: MDP, log_probs: Array) -> Array:
  """Mean reward-to-go of each choice when a policy goes on.

  Args:
    mdp: the MDP, with the reward that counts.
    log_probs: of the baseline. Shape [S, A].

  Returns:
    Values, in reward units. Shape [S, A].

  Source: arXiv 2405.20495, direct transfer.
  """
  probs = jnp.exp(log_probs)
  values = jnp.zeros(probs.shape[0])
  q_values = jnp.asarray(mdp.rewards, jnp.float32)
  for _ in range(mdp.horizon):
    q_values = mdp.rewards + values[mdp.next_states]
    values = jnp.sum(probs * q_values, axis=-1).at[-1].set(0)
  return q_values


def indirect_values(
  mdp: MDP,
  log_probs: Array,
  baseline_rewards: ArrayLike,
  *,
  beta: ArrayLike,
) -> Array:
  """Mean reward-to-go under trajectories weighted by exp((R - R_BL) / beta).

  Args:
    mdp: the MDP, with the reward that counts.
    log_probs: of the baseline. Shape [S, A].
    baseline_rewards: that it was aligned to. Shape [S, A].
    beta: the KL weight at which, in reward units.

  Returns:
    Values, in reward units. Shape [S, A].

  Source: arXiv 2405.20495, indirect transfer.
  """
  gaps = jnp.asarray(mdp.rewards - baseline_rewards, jnp.float32) / beta
  log_weights = jnp.zeros(gaps.shape[0])  # ln E exp(gap still to come)
  values = jnp.zeros(gaps.shape[0])
  q_values = jnp.asarray(mdp.rewards, jnp.float32)
  for _ in range(mdp.horizon):
    both = log_probs + gaps + log_weights[mdp.next_states]
    q_values = mdp.rewards + values[mdp.next_states]
    log_weights = jax.nn.logsumexp(both, axis=-1).at[-1].set(0)
    values = jnp.sum(jax.nn.softmax(both) * q_values, axis=-1).at[-1].set(0)
  return q_values


def policy(base: Array, q_values: Array, *, eta: ArrayLike) -> Array:
  """What decoding by these values makes of a policy.

  Args:
    base: log-probabilities that are tilted: the baseline's, as in the decoder
      here and in the method's release, or the reference's, as in its paper.
      Shape [S, A].
    q_values: of either kind. Shape [S, A].
    eta: KL weight, in reward units.

  Returns:
    Log-probabilities. Shape [S, A].
  """
  weights = guidance.transfer_direct(q_values[..., None], eta=eta)
  return kl_ops.tilted_log_probs(base, weights)
