"""Algorithm 1 on a finite MDP, every policy of it evaluated exactly."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.tabular import solve
from qsharp_jax.tabular.learners import Labelled, Learner
from qsharp_jax.tabular.mdp import MDP


class Trace(NamedTuple):
  """A run of Algorithm 1."""

  sub_optimality: Array  # [rounds] of the policy that round k rolls in with
  log_laws: Array  # [S, A, K] learnt after the last round


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
    learner: how laws follow from labels.
    key: of all choices.
    eta: KL weight of the policies and of their sub-optimality.
    num_rounds: trajectories, one a round.
    policy_fn: (mdp, laws, eta=) to the induced policy [S, A].

  Returns:
    The trace. Wrap in `jax.jit` and `jax.vmap` to average over keys.

  Source: arXiv 2502.20548, Algorithm 1.
  """
  atoms = jnp.asarray(atoms, jnp.float32)

  def one_round(state, key: Array):
    log_laws = learner.log_laws(state)
    log_probs = policy_fn(mdp, solve.Laws(log_laws, atoms), eta=eta)
    gap = solve.sub_optimality(mdp, log_probs, eta=eta)
    return learner.update(state, roll_out(mdp, atoms, log_probs, key)), gap

  keys = jax.random.split(key, num_rounds)
  state, gaps = jax.lax.scan(one_round, learner.init(), keys)
  return Trace(gaps, learner.log_laws(state))


def roll_out(mdp: MDP, atoms: Array, log_probs: Array, key: Array) -> Labelled:
  """One trajectory: h - 1 choices of a policy, the others of the reference.

  Args:
    mdp: the MDP.
    atoms: possible rewards-to-go. Shape [K].
    log_probs: the policy. Shape [S, A].
    key: of the switch time h, uniform on 1 .. horizon, and of all choices.

  Returns:
    The trajectory, labelled from choice h on.
  """
  switch_key, key = jax.random.split(key)
  switch = jax.random.randint(switch_key, (), 1, mdp.horizon + 1)
  times = 1 + jnp.arange(mdp.horizon)
  ref = jnp.asarray(mdp.ref_log_probs, jnp.float32)
  rewards = jnp.asarray(mdp.rewards, jnp.float32)
  next_states = jnp.asarray(mdp.next_states)

  def step(state: Array, now):
    time, key = now
    row = jnp.where(time < switch, log_probs[state], ref[state])
    action = jax.random.categorical(key, row)
    return next_states[state, action], (state, action, rewards[state, action])

  keys = jax.random.split(key, mdp.horizon)
  _, (states, actions, paid) = jax.lax.scan(
    step, jnp.zeros((), jnp.int32), (times, keys)
  )
  to_go = jnp.cumsum(paid[::-1])[::-1]
  labels = jnp.argmin(abs(to_go[:, None] - atoms), axis=-1)
  is_label = (times >= switch) & (states != ref.shape[0] - 1)
  return Labelled(states, actions, labels, is_label)
