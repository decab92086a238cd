"""Batches as a pure function of the step: resuming needs no saved state."""

import numpy as np

from qsharp_jax.core.errors import InputError
from qsharp_jax.data.packing import PADDING, Packed


class Loader:
  """Shuffled batches, every row once an epoch.

  Attributes:
    steps_per_epoch: batches until every row was seen once; rows of padding,
      which carry no loss, complete those that are not full.
  """

  def __init__(
    self, rows: Packed, *, batch_size: int, seed: int, is_even: bool = False
  ):
    """Makes a loader.

    Args:
      rows: all the data. Fields [R, T].
      batch_size: B, rows in a batch.
      seed: of the order.
      is_even: as many batches of nearly equal numbers of rows, not full batches
        and one of what is left, whose rows would weigh more than the others.

    Raises:
      InputError: no rows, or none in a batch.
    """
    if not len(rows.tokens):
      raise InputError("the loader got no rows; expected at least one")
    if batch_size < 1:
      raise InputError(f"batch_size is {batch_size}; expected at least 1")
    self._rows = rows
    self._batch_size = batch_size
    self._seed = seed
    self._is_even = is_even
    self._known_order = (-1, np.empty(0, np.int64))
    self.steps_per_epoch = -(-len(rows.tokens) // batch_size)

  def batch(self, step: int) -> dict[str, np.ndarray]:
    """The batch at a step.

    Args:
      step: counted from 0, through all epochs.

    Returns:
      The fields of `Packed`, each [B, T, ...].
    """
    chosen = self.chosen(step)
    missing = self._batch_size - len(chosen)
    fields = {}
    for name, field, filler in zip(
      Packed._fields, self._rows, PADDING, strict=True
    ):
      tail = np.full((missing, *field.shape[1:]), filler, filler.dtype)
      fields[name] = np.concatenate([field[chosen], tail])
    return fields

  def chosen(self, step: int) -> np.ndarray:
    """Indices of the rows of the batch at a step, without padding."""
    epoch, index = divmod(step, self.steps_per_epoch)
    return self._chosen(self._order(epoch), index)

  def _chosen(self, order: np.ndarray, index: int) -> np.ndarray:
    """The rows of a batch of an epoch."""
    if self._is_even:
      return np.array_split(order, self.steps_per_epoch)[index]
    first = index * self._batch_size
    return order[first : first + self._batch_size]

  def _order(self, epoch: int) -> np.ndarray:
    """The rows' order in an epoch; kept until another epoch is asked for."""
    if self._known_order[0] != epoch:
      rng = np.random.default_rng([self._seed, epoch])
      self._known_order = (epoch, rng.permutation(len(self._rows.tokens)))
    return self._known_order[1]
