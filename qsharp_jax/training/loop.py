"""The training loop, as an iterator of records."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.training import divergence, objectives, step

Record = dict[str, Any]


class Loop:
  """Runs steps from `state.step` to `num_steps`; iterate to make it go.

  Attributes:
    state: the newest state. The step before it was donated: hold no copy.
  """

  def __init__(
    self,
    state: step.TrainState,
    update: Callable[
      [step.TrainState, objectives.Batch], tuple[step.TrainState, Record]
    ],
    batch_at: Callable[[int, PyTree], objectives.Batch | None],
    *,
    num_steps: int,
    save: Callable[[int, step.TrainState], None] = lambda done, state: None,
  ):
    """Makes the loop.

    Args:
      state: where to start; a restored state goes on where it stopped.
      update: the jitted step.
      batch_at: batch of a step, a pure function of its index and of the
        parameters before it, which it must not keep: they are donated. None
        where there is nothing to learn: such a step moves nothing.
      num_steps: steps in all, counted from the first start.
      save: called after every step with the number of steps done and the state,
        to save it when it is time to.
    """
    self.state = state
    self._update = update
    self._batch_at = batch_at
    self._num_steps = num_steps
    self._save = save

  def __iter__(self) -> Iterator[Record]:
    """Yields `step`, `loss`, `grad_norm` and `weight` after every step.

    Of a step without a batch, `step` alone.

    Raises:
      Diverged: one of these numbers is not finite.
    """
    waiting = None
    for index in range(int(self.state.step), self._num_steps):
      metrics = self._advance(index)
      # Read one step late: the device never waits for the host.
      record = None if waiting is None else _record(*waiting)
      self._save(index + 1, self.state)
      if record is not None:
        yield record
      waiting = index + 1, metrics
    if waiting is not None:
      yield _record(*waiting)

  def _advance(self, index: int) -> Record:
    """Takes one step; without a batch, only the count goes on."""
    batch = self._batch_at(index, self.state.params)
    if batch is None:
      self.state = self.state.replace(step=self.state.step + 1)
      return {}
    self.state, metrics = self._update(self.state, batch)
    return metrics


def _record(step_index: int, metrics: Record) -> Record:
  numbers = {k: float(v) for k, v in jax.device_get(metrics).items()}
  divergence.check_metrics(step_index, numbers)
  return {"step": step_index} | numbers
