"""The train state and the one training step of the project."""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.training import objectives


@struct.dataclass
class TrainState:
  """Everything that a step changes."""

  step: Array  # [] int32, steps done, those without a batch included
  params: PyTree
  opt_state: PyTree


def create(
  params: PyTree, optimizer: optax.GradientTransformation
) -> TrainState:
  """State before the first step."""
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=optimizer.init(params),
  )


def adamw(
  *,
  learning_rate: float,
  num_steps: int,
  warmup_steps: int = 0,
  schedule: str = "constant",
  weight_decay: float = 0.01,
  clip_norm: float = 1.0,
  b2: float = 0.999,
  num_frozen_layers: int = 0,
) -> optax.GradientTransformation:
  """AdamW on clipped gradients.

  Args:
    learning_rate: after the warm-up.
    num_steps: of the whole run.
    warmup_steps: of a linear rise.
    schedule: `constant`, or `cosine` down to a tenth.
    weight_decay: applied to every parameter, apart from its gradient.
    clip_norm: gradients that are longer, all together, are cut to it.
    b2: decay of the second moments.
    num_frozen_layers: the embeddings and so many layers above them stay as they
      are.

  Raises:
    InputError: another schedule.
  """
  if schedule not in ("constant", "cosine"):
    raise InputError(
      f"schedule is {schedule!r}; expected 'constant' or 'cosine'"
    )
  # A run of a few steps, as in a trial, may be shorter than its warm-up.
  warmup_steps = min(warmup_steps, num_steps - 1)
  if schedule == "cosine":
    rate = optax.warmup_cosine_decay_schedule(
      0.0, learning_rate, warmup_steps, num_steps, 0.1 * learning_rate
    )
  else:
    rate = optax.linear_schedule(
      learning_rate / (warmup_steps + 1), learning_rate, warmup_steps
    )
  optimizer = optax.chain(
    optax.clip_by_global_norm(clip_norm),
    optax.adamw(rate, b2=b2, weight_decay=weight_decay),
  )
  if not num_frozen_layers:
    return optimizer
  still = optax.masked(
    optax.set_to_zero(),
    functools.partial(_frozen, num_layers=num_frozen_layers),
  )
  # Before, so that they do not count in the norm; after, against the decay.
  return optax.chain(still, optimizer, still)


def above(
  objective: objectives.Objective, num_frozen_layers: int
) -> objectives.Objective:
  """The same objective, without gradients below the layers that are trained.

  What stays as it is needs none, and gradients of what lies above do not pass
  through it: its backward pass is left out.

  Args:
    objective: any.
    num_frozen_layers: as for `adamw`.
  """
  if not num_frozen_layers:
    return objective

  def stopped(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    params = jax.tree.map(
      lambda still, x: jax.lax.stop_gradient(x) if still else x,
      _frozen(params, num_frozen_layers),
      params,
    )
    return objective(params, batch)

  return stopped


def _frozen(params: PyTree, num_layers: int) -> PyTree:
  """Which parameters belong to the embeddings and the first layers."""
  names = {
    "embedding",
    "positions",
    "predicting_norm",  # of the language model that those layers are
    *(f"layers_{i}" for i in range(num_layers)),
  }
  return jax.tree.map_with_path(
    lambda path, _: any(key.key in names for key in path), params
  )


def make_step(
  objective: objectives.Objective,
  optimizer: optax.GradientTransformation,
  *,
  num_microbatches: int = 1,
) -> Callable[
  [TrainState, objectives.Batch], tuple[TrainState, dict[str, Array]]
]:
  """A jitted, state-donating update on one batch.

  The batch is cut into `num_microbatches` along its rows. Their weighted sums
  of losses and gradients are added before the one division by the total weight,
  so the update is that of the whole batch however the weights are spread.

  Returns:
    (state, batch) -> (state, metrics), metrics being `loss`, `grad_norm` and
    `weight`, float32 scalars.
  """

  def update(state: TrainState, batch: objectives.Batch):
    total, weight, grads = _accumulate(
      objective, state.params, batch, num_microbatches
    )
    # What an objective promises: two numbers.
    chex.assert_rank([total, weight], 0)
    chex.assert_type([total, weight], float)
    scale = 1.0 / jnp.maximum(weight, 1e-8)
    grads = jax.tree.map(lambda g: g * scale, grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    new_state = TrainState(
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      opt_state=opt_state,
    )
    metrics = {
      "loss": total * scale,
      "grad_norm": optax.tree.norm(grads),
      "weight": weight,
    }
    return new_state, metrics

  return jax.jit(update, donate_argnums=0)


def _accumulate(
  objective: objectives.Objective,
  params: PyTree,
  batch: objectives.Batch,
  num_microbatches: int,
) -> tuple[Array, Array, PyTree]:
  """Sums of losses, weights and gradients over the micro-batches."""
  # The weight rides along as auxiliary output: it is not differentiated.
  value_and_grad = jax.value_and_grad(objective, has_aux=True)
  if num_microbatches == 1:
    (total, weight), grads = value_and_grad(params, batch)
    return total, weight, grads

  # Every n-th row, not n blocks of rows: the rows lie cut over the devices, and
  # so each device takes its part of every micro-batch from its own rows.
  def cut(x):
    return x.reshape(-1, num_microbatches, *x.shape[1:]).swapaxes(0, 1)

  def add(sums, micro):
    (total, weight), grads = value_and_grad(params, micro)
    return jax.tree.map(jnp.add, sums, (total, weight, grads)), None

  zero = jnp.zeros((), jnp.float32)
  start = (zero, zero, jax.tree.map(jnp.zeros_like, params))
  sums, _ = jax.lax.scan(add, start, jax.tree.map(cut, dict(batch)))
  return sums
