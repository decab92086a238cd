"""Training to a fixed number of steps that survives being killed."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Protocol

import jax
import numpy as np
import optax

from qsharp_jax import data
from qsharp_jax.checkpoint import train_state
from qsharp_jax.core import errors, places, progress
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import placement, processes
from qsharp_jax.training import divergence, objectives
from qsharp_jax.training import events as events_lib
from qsharp_jax.training import loop as loop_lib
from qsharp_jax.training import step as step_lib

_CHECKPOINTS = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Fit:
  """How to train; the defaults are the paper's for the value model."""

  learning_rate: float = 2e-5
  schedule: str = "constant"
  warmup_steps: int = 0
  weight_decay: float = 0.01
  clip_norm: float = 1.0
  b2: float = 0.999  # decay of Adam's second moments
  num_frozen_layers: int = 0  # with the embeddings, from the bottom
  batch_size: int = 32  # packed rows
  num_microbatches: int = 1
  num_epochs: int = 5
  max_length: int = 2048  # tokens of a packed row
  checkpoint_every: int = 500  # steps
  seed: int = 0


class Batches(Protocol):
  """Where the batches of a fit come from.

  Attributes:
    num_steps: of the whole fit.
    block: so many steps, counted from the first, share what they are made
      from; checkpoints fall between blocks.
  """

  num_steps: int
  block: int

  def __call__(
    self, step: int, params: PyTree
  ) -> Mapping[str, np.ndarray] | objectives.Batch | None:
    """The batch at a step, the same in every process; None to skip the step.

    Of numpy arrays, or of arrays that lie on the devices already. A pure
    function of the step and of the parameters before its block.
    """

  def metrics(self, step: int) -> Mapping[str, float]:
    """What is known of the batch at a step, for the log."""


class Epochs:
  """Fixed rows, each once an epoch."""

  block = 1

  def __init__(self, rows: data.Packed, how: Fit):
    """Makes the batches.

    Args:
      rows: packed sequences. Fields [R, T].
      how: its batch size, number of epochs and seed.
    """
    self.rows = rows
    self._loader = data.Loader(rows, batch_size=how.batch_size, seed=how.seed)
    self.num_steps = how.num_epochs * self._loader.steps_per_epoch

  def __call__(self, step: int, params: PyTree) -> Mapping[str, np.ndarray]:
    """The batch at a step, whatever the parameters."""
    del params
    return self._loader.batch(step)

  def metrics(self, step: int) -> Mapping[str, float]:
    """Nothing is known beyond the loss."""
    del step
    return {}


def fit(
  objective: objectives.Objective,
  params: PyTree,
  batches: Batches,
  how: Fit,
  layout: layout_lib.Layout,
  directory: places.Path,
) -> PyTree:
  """Minimises the objective over the batches; returns the parameters.

  A second call with the same arguments goes on from the newest checkpoint in
  `directory`, and ends in the same parameters as a run never interrupted.

  Args:
    objective: see `training.objectives`.
    params: where training starts, placed for training. Given up: the first
      step takes their memory.
    batches: such as `Epochs`.
    how: hyper-parameters.
    layout: places the batches.
    directory: for checkpoints, and TensorBoard events.

  Raises:
    Diverged: a loss, a gradient or weights were not finite; says after which
      step and what to lower. No such weights are in any checkpoint.
  """
  num_steps = batches.num_steps
  optimizer = step_lib.adamw(
    learning_rate=how.learning_rate,
    num_steps=num_steps,
    warmup_steps=how.warmup_steps,
    schedule=how.schedule,
    weight_decay=how.weight_decay,
    clip_norm=how.clip_norm,
    b2=how.b2,
    num_frozen_layers=how.num_frozen_layers,
  )
  state, done = _create(params, optimizer), 0
  every = -(-how.checkpoint_every // batches.block) * batches.block
  with (
    _saying_what_to_lower(how, directory),
    train_state.Checkpointer(
      directory / _CHECKPOINTS, keep=2, every=every
    ) as checkpointer,
  ):
    found = checkpointer.restore_latest(jax.tree.map(_abstract, state))
    if found is not None:
      state, _, done = found
    loop = loop_lib.Loop(
      state,
      step_lib.make_step(
        step_lib.above(objective, how.num_frozen_layers),
        optimizer,
        num_microbatches=how.num_microbatches,
      ),
      functools.partial(_placed, batches, layout),
      num_steps=num_steps,
      save=functools.partial(_save, checkpointer, every, batches.block),
    )
    del params, found, state  # whoever keeps a name keeps the memory
    # What an interrupted attempt wrote beyond its last checkpoint is hidden.
    with (
      places.written(directory / "events") as events,
      events_lib.writer(str(events), done + 1) as writer,
    ):
      bar = progress.bar(
        loop, directory.name, total=num_steps, done=done, unit="step"
      )
      for record in bar:
        step = record.pop("step")
        numbers = record | batches.metrics(step - 1)
        for name, number in numbers.items():
          writer.add_scalar(name, number, step)
        if record:  # not of a step that was skipped
          bar.set_postfix(loss=f"{record['loss']:.4f}", refresh=False)
    divergence.check_weights(num_steps, loop.state.params)
  return loop.state.params


@contextlib.contextmanager
def _saying_what_to_lower(how: Fit, directory: places.Path) -> Iterator[None]:
  """Tells a person what to do about training that diverged."""
  try:
    yield
  except divergence.Diverged as error:
    raise divergence.Diverged(
      f"training in {directory} diverged: {error}, expected a finite number; "
      f"lower its learning_rate ({how.learning_rate:g}) or clip_norm "
      f"({how.clip_norm:g}), or raise warmup_steps ({how.warmup_steps}), and "
      "run the same command again"
    ) from error


def forget(directory: places.Path) -> None:
  """Frees the disk that a finished fit's checkpoints take."""
  if processes.is_main():
    with contextlib.suppress(OSError):
      places.remove(directory / _CHECKPOINTS)


def _create(
  params: PyTree, optimizer: optax.GradientTransformation
) -> step_lib.TrainState:
  """The state before the first step, its moments beside their parameters."""
  create = functools.partial(step_lib.create, optimizer=optimizer)
  shardings = placement.extend(
    jax.tree.map(lambda x: x.sharding, params), jax.eval_shape(create, params)
  )
  return jax.jit(create, out_shardings=shardings, donate_argnums=0)(params)


def _save(
  checkpointer: train_state.Checkpointer,
  every: int,
  block: int,
  step: int,
  state: step_lib.TrainState,
) -> None:
  """Saves when it is time to, or when the machine is wanted back."""
  is_last = processes.termination.look() and step % block == 0
  if is_last or step % every == 0:
    divergence.check_weights(step, state.params)
  checkpointer.save(step, state, {"step": step}, force=is_last)
  if is_last:
    raise errors.Preempted(f"saved after step {step}")


def _abstract(x: jax.Array) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _placed(
  batches: Batches, layout: layout_lib.Layout, step: int, params: PyTree
) -> objectives.Batch | None:
  """The batch at a step, without the fields that only the host needs."""
  batch = batches(step, params)
  if batch is None:
    return None
  fields = {k: v for k, v in batch.items() if k != "sequence_ids"}
  is_there = all(isinstance(x, jax.Array) for x in fields.values())
  return fields if is_there else layout.place(fields)
