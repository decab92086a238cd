"""Algorithm 1 on a finite MDP, every policy of it evaluated exactly."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, ArrayLike, PyTree
from qsharp_jax.ops import filtering
from qsharp_jax.tabular import solve
from qsharp_jax.tabular.learners import Labelled, Learner
from qsharp_jax.tabular.mdp import MDP


class Trace(NamedTuple):
  """A run of Algorithm 1."""

  sub_optimality: Array  # [rounds] of the policy that round k rolls in with
  log_distributions: Array  # [S, A, K] learnt after the last round


def learn(
  mdp: MDP,
  atoms: ArrayLike,
  learner: Learner,
  key: Array,
  *,
  eta: float,
  num_rounds: int,
  policy_fn: Callable[..., Array] = solve.qsharp,
) -> Trace:
  """Rolls in, switches to the reference, labels, aggregates, learns.

  Args:
    mdp: the MDP.
    atoms: possible rewards-to-go. Shape [K].
    learner: how distributions follow from labels.
    key: of all choices.
    eta: KL weight of the policies and of their sub-optimality.
    num_rounds: trajectories, one a round.
    policy_fn: (mdp, distributions, eta=) to the induced policy [S, A].

  Returns:
    The trace. Wrap in `jax.jit` and `jax.vmap` to average over keys.

  Source: arXiv 2502.20548, Algorithm 1.
  """
  atoms = jnp.asarray(atoms, jnp.float32)

  def one_round(state: PyTree, uniforms: Array) -> tuple[PyTree, Array]:
    log_distributions = learner.log_distributions(state)
    log_probs = policy_fn(
      mdp, solve.ReturnDistributions(log_distributions, atoms), eta=eta
    )
    new = roll_out(mdp, atoms, log_probs, uniforms)
    return learner.update(state, new), log_probs

  uniforms = jax.random.uniform(key, (num_rounds, mdp.horizon + 1))
  state, policies = jax.lax.scan(one_round, learner.init(), uniforms)

  def gap(log_probs):
    return solve.sub_optimality(mdp, log_probs, eta=eta)

  return Trace(jax.vmap(gap)(policies), learner.log_distributions(state))


def roll_out(
  mdp: MDP, atoms: Array, log_probs: Array, uniforms: Array
) -> Labelled:
  """One trajectory: h - 1 choices of a policy, the others of the reference.

  Args:
    mdp: the MDP.
    atoms: possible rewards-to-go. Shape [K].
    log_probs: the policy. Shape [S, A].
    uniforms: a number in [0, 1) for the switch time h, uniform on
      1 .. horizon, and one for every choice. Shape [horizon + 1].

  Returns:
    The trajectory, labelled from choice h on.
  """
  switch = 1 + jnp.floor(uniforms[0] * mdp.horizon)
  times = 1 + jnp.arange(mdp.horizon)
  ref = jnp.asarray(mdp.ref_log_probs, jnp.float32)
  rewards = jnp.asarray(mdp.rewards, jnp.float32)
  next_states = jnp.asarray(mdp.next_states)

  def step(state: Array, now: tuple[Array, Array]):
    time, uniform = now
    row = jnp.where(time < switch, log_probs[state], ref[state])
    action = filtering.sample(row[None], uniform[None])[0]
    return next_states[state, action], (state, action, rewards[state, action])

  _, (states, actions, paid) = jax.lax.scan(
    step, jnp.zeros((), jnp.int32), (times, uniforms[1:])
  )
  to_go = jnp.cumsum(paid[::-1])[::-1]
  labels = jnp.argmin(abs(to_go[:, None] - atoms), axis=-1)
  is_label = (times >= switch) & (states != ref.shape[0] - 1)
  return Labelled(states, actions, labels, is_label)
