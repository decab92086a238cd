"""Pairs of sequences that answer one prompt, a row each."""

from collections.abc import Sequence as AnySequence
from typing import NamedTuple

import numpy as np

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import packing
from qsharp_jax.data.packing import Packed, Sequence


class Pair(NamedTuple):
  """Two sequences that answer one prompt, the first preferred."""

  chosen: Sequence
  rejected: Sequence
  chosen_reward: float
  rejected_reward: float


def pack_pairs(pairs: AnySequence[Pair], *, length: int) -> Packed:
  """Puts every pair in a row of its own, in the given order.

  The chosen sequence is segment 1, the rejected one segment 2: attention keeps
  them apart, and a loss on both needs no second batch.

  Args:
    pairs: any number.
    length: T, the rows' length.

  Returns:
    As many rows as pairs; `sequence_ids` are 2 i and 2 i + 1 in row i.

  Raises:
    InputError: a pair longer than a row, one whose chosen reward is not above
      the rejected one, or a sequence that `packing.pack` would refuse.
  """
  for index, pair in enumerate(pairs):
    _check_pair(index, pair, length)
  sequences = [s for p in pairs for s in (p.chosen, p.rejected)]
  sizes = packing.sizes_of(sequences, length)
  rows = np.repeat(np.arange(len(pairs)), 2)
  starts = np.where(np.arange(len(sizes)) % 2, np.roll(sizes, 1), 0)
  return packing.fill(sequences, rows, starts, length)


def _check_pair(index: int, pair: Pair, length: int) -> None:
  chosen, rejected = len(pair.chosen.tokens), len(pair.rejected.tokens)
  if chosen + rejected > length:
    raise InputError(
      f"preference pair {index} has {chosen} + {rejected} tokens, expected at "
      f"most {length} together; drop or shorten it, or pack with a larger "
      "length"
    )
  if not pair.chosen_reward > pair.rejected_reward:
    raise InputError(
      f"preference pair {index} has rewards {pair.chosen_reward} (chosen) and "
      f"{pair.rejected_reward} (rejected), expected the first to be higher; "
      "drop the pair"
    )
