"""Batches as a pure function of the step: resuming needs no saved state."""

import numpy as np

from qsharp_jax.core.errors import InputError
from qsharp_jax.data.packing import PADDING, Packed


class Loader:
  """Shuffled batches, every row once an epoch.

  Attributes:
    steps_per_epoch: batches until every row was seen once; the last one is
      completed with rows of padding, which carry no loss.
  """

  def __init__(self, rows: Packed, *, batch_size: int, seed: int):
    """Makes a loader.

    Args:
      rows: all the data. Fields [R, T].
      batch_size: B, rows in a batch.
      seed: of the order.

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
    self._known_order = (-1, np.empty(0, np.int64))
    self.steps_per_epoch = -(-len(rows.tokens) // batch_size)

  def batch(self, step: int) -> dict[str, np.ndarray]:
    """The batch at a step.

    Args:
      step: counted from 0, through all epochs.

    Returns:
      The fields of `Packed`, each [B, T, ...].
    """
    epoch, index = divmod(step, self.steps_per_epoch)
    first = index * self._batch_size
    chosen = self._order(epoch)[first : first + self._batch_size]
    missing = self._batch_size - len(chosen)
    fields = {}
    for name, field, filler in zip(
      Packed._fields, self._rows, PADDING, strict=True
    ):
      tail = np.full((missing, *field.shape[1:]), filler, field.dtype)
      fields[name] = np.concatenate([field[chosen], tail])
    return fields

  def _order(self, epoch: int) -> np.ndarray:
    """The rows' order in an epoch; kept until another epoch is asked for."""
    if self._known_order[0] != epoch:
      rng = np.random.default_rng([self._seed, epoch])
      self._known_order = (epoch, rng.permutation(len(self._rows.tokens)))
    return self._known_order[1]
