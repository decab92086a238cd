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

  def __init__(
    self,
    rows: Packed,
    *,
    batch_size: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
  ):
    """Makes a loader.

    Args:
      rows: all the data, the same in every process. Fields [R, T].
      batch_size: B, rows in a batch over all processes together.
      seed: of the order.
      process_index: which equal, contiguous part of each batch to return.
      process_count: into how many parts a batch is cut.

    Raises:
      InputError: no rows, or a batch that cannot be cut into equal parts.
    """
    if not len(rows.tokens):
      raise InputError("the loader got no rows; expected at least one")
    if batch_size < 1 or batch_size % process_count:
      raise InputError(
        f"batch_size is {batch_size}, expected a positive multiple of the "
        f"{process_count} processes"
      )
    if not 0 <= process_index < process_count:
      raise InputError(
        f"process_index is {process_index}, expected 0..{process_count - 1}"
      )
    self._rows = rows
    self._batch_size = batch_size
    self._seed = seed
    share = batch_size // process_count
    self._own = slice(process_index * share, (process_index + 1) * share)
    self._known_order = (-1, np.empty(0, np.int64))
    self.steps_per_epoch = -(-len(rows.tokens) // batch_size)

  def batch(self, step: int) -> dict[str, np.ndarray]:
    """This process's part of the batch at a step.

    Args:
      step: counted from 0, through all epochs.

    Returns:
      The fields of `Packed`, each [B / process_count, T, ...].
    """
    epoch, index = divmod(step, self.steps_per_epoch)
    first = index * self._batch_size
    whole = self._order(epoch)[first : first + self._batch_size]
    chosen = whole[self._own]
    missing = self._own.stop - self._own.start - len(chosen)
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
