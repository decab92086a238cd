"""Rollouts of all rounds in one buffer on the devices, and training from it.

The store keeps the same rows, so a run that was stopped goes on without the
buffer: what it trains on is read from the store then, and is the same.
"""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from qsharp_jax import data
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.pipeline import labelled
from qsharp_jax.rollout import buffer as buffer_lib
from qsharp_jax.training import fit as fit_lib


class Aggregate:
  """The rows of all rounds that this process has collected from the start.

  Attributes:
    buffer: their rows, round after round; None before the first one.
  """

  def __init__(self) -> None:
    """Has no rows yet."""
    self.buffer: buffer_lib.Buffer | None = None
    self._num_batches = 0  # of a round

  def open(
    self, *, num_batches: int, num_rounds: int, num_rows: int, length: int
  ) -> buffer_lib.Buffer:
    """The buffer to append a round to, to be given back in `close`.

    Args:
      num_batches: of a round.
      num_rounds: of the run.
      num_rows: of a batch.
      length: of a row, in tokens.
    """
    self._num_batches = num_batches
    if self.buffer is None:
      return buffer_lib.empty(num_batches * num_rounds, num_rows, length)
    return self.buffer

  def close(self, buffer: buffer_lib.Buffer) -> None:
    """Keeps a buffer that a round was appended to."""
    self.buffer = buffer

  def epochs(
    self,
    split: labelled.Split,
    rows: data.Packed,
    how: fit_lib.Fit,
    sizes: Sequence[int],
  ) -> fit_lib.Epochs:
    """Epochs over packed rows, out of the buffer if it holds them all.

    Args:
      split: of the rollouts of all rounds so far.
      rows: `labelled.pack` of its training part.
      how: see `fit_lib.Epochs`.
      sizes: number of rollouts of each round so far.
    """
    num_rounds, buffer = len(sizes), self.buffer
    is_whole = (
      buffer is not None
      and int(buffer.num_appended) == num_rounds * self._num_batches
    )
    is_alone = rows.segments.max(initial=0) <= 1  # one sequence in each row
    if not (is_whole and is_alone):
      return fit_lib.Epochs(rows, how)
    # A round begins with a batch of its own.
    per_round = self._num_batches * buffer.rows["tokens"].shape[1]
    starts = np.arange(num_rounds) * per_round - (np.cumsum(sizes) - sizes)
    places = split.train_places
    places = places + np.repeat(starts, sizes)[places]
    is_labelled = split.train.first_label < split.train.lengths
    places = places[is_labelled][rows.sequence_ids[:, 0]]
    return Resident(rows, how, buffer, places)


class Resident(fit_lib.Epochs):
  """Epochs over rows that lie on the devices: the host says which ones."""

  def __init__(
    self,
    rows: data.Packed,
    how: fit_lib.Fit,
    buffer: buffer_lib.Buffer,
    places: np.ndarray,
  ):
    """Makes the batches.

    Args:
      rows: the same rows on the host, one sequence in each.
      how: its batch size, number of epochs and seed.
      buffer: holds the rows.
      places: of each row in the buffer, int. Shape [R].
    """
    super().__init__(rows, how)
    self._buffer, self._places, self._size = buffer, places, how.batch_size

  def __call__(self, step: int, params: PyTree) -> Mapping[str, Array]:
    """The batch at a step, whatever the parameters."""
    del params
    chosen = self._places[self._loader.chosen(step)]
    # Places beyond the end are padding.
    beyond = self._buffer.rows["tokens"].size
    indices = np.full(self._size, beyond, np.int32)
    indices[: len(chosen)] = chosen
    return _take(self._buffer, indices)


_take = jax.jit(buffer_lib.take)
