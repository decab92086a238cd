"""Maximum-likelihood learners of the distributions of the reward-to-go.

Every learner is three pure functions: `init`, `update` with the labels of one
round, and `log_distributions`, from the state to a table of them [S, A, K].
They all aggregate: a state holds the labels of every earlier round.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.ops import losses


class Labelled(NamedTuple):
  """One trajectory with its rewards-to-go. T is the horizon."""

  states: Array  # [T] int32
  actions: Array  # [T] int32
  labels: Array  # [T] int32, the atom of the reward-to-go
  mask: (
    Array  # [T] which of them are labels of the reference's own distribution
  )


class Learner(NamedTuple):
  """How distributions follow from labels."""

  init: Callable[[], PyTree]
  update: Callable[[PyTree, Labelled], PyTree]
  log_distributions: Callable[[PyTree], Array]


def counts(shape: tuple[int, int, int]) -> Learner:
  """Exact maximum likelihood: relative frequencies.

  A state and action without a label has the uniform distribution, as a head
  that starts at 0 has.

  Args:
    shape: [S, A, K].
  """

  def log_distributions(seen: Array) -> Array:
    total = jnp.sum(seen, axis=-1, keepdims=True)
    return jnp.where(total > 0, jnp.log(seen / total), -math.log(shape[-1]))

  return Learner(lambda: jnp.zeros(shape), _count, log_distributions)


def vovk(hypotheses: Array) -> Learner:
  """The aggregating algorithm over a finite class, with log loss.

  The prediction is the mixture of the class, weighted by likelihood. Its
  cumulative log loss, label by label, exceeds that of the best hypothesis by
  no more than the log of their number, on any sequence of labels.

  Args:
    hypotheses: log-probabilities of every hypothesis; each label must be
      possible under one of those not yet refuted. Shape [N, S, A, K].

  Source: Vovk, Aggregating strategies (1990); the no-regret learner that
    arXiv 2502.20548 reduces to.
  """
  hypotheses = jnp.asarray(hypotheses, jnp.float32)
  probs = jnp.exp(hypotheses)

  def update(log_likelihoods: Array, seen: Labelled) -> Array:
    each = hypotheses[:, seen.states, seen.actions, seen.labels]
    return log_likelihoods + jnp.sum(jnp.where(seen.mask, each, 0), axis=-1)

  def log_distributions(log_likelihoods: Array) -> Array:
    weights = jax.nn.softmax(log_likelihoods)
    # Accelerators multiply matrices in fewer bits unless told not to.
    mixture = jnp.einsum("n,nsak->sak", weights, probs, precision="highest")
    return jnp.log(mixture)

  return Learner(
    lambda: jnp.zeros(hypotheses.shape[0]), update, log_distributions
  )


def gradient(
  shape: tuple[int, int, int],
  optimizer: optax.GradientTransformation,
  *,
  num_steps: int,
) -> Learner:
  """Maximum likelihood by gradient steps on the union of all rounds.

  Starts at logits 0, the uniform distribution; goes on from the last round's.

  Args:
    shape: [S, A, K].
    optimizer: of the logits.
    num_steps: steps after every round.
  """

  def loss(logits: Array, seen: Array) -> Array:
    weights = jnp.sum(seen, axis=-1)
    empirical = seen / jnp.maximum(weights, 1)[..., None]
    total, weight = losses.weighted_sum(
      losses.categorical(logits, empirical), weights
    )
    return total / jnp.maximum(weight, 1)

  def init() -> PyTree:
    logits = jnp.zeros(shape)
    return jnp.zeros(shape), logits, optimizer.init(logits)

  def update(state: PyTree, new: Labelled) -> PyTree:
    seen = _count(state[0], new)

    def step(_: int, fit: PyTree) -> PyTree:
      slopes = jax.grad(loss)(fit[0], seen)
      updates, optimizer_state = optimizer.update(slopes, fit[1], fit[0])
      return optax.apply_updates(fit[0], updates), optimizer_state

    return seen, *jax.lax.fori_loop(0, num_steps, step, state[1:])

  return Learner(init, update, lambda state: jax.nn.log_softmax(state[1]))


def _count(seen: Array, new: Labelled) -> Array:
  place = new.states, new.actions, new.labels
  return seen.at[place].add(new.mask.astype(seen.dtype))
