import numpy as np
import pytest
from oracles import packing as oracle

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import pair_packing


def pair(chosen, rejected, rewards=(1.0, 0.0)):
  return pair_packing.Pair(
    oracle.sequence(chosen, 1), oracle.sequence(rejected, 2), *rewards
  )


def test_a_pair_has_a_row_with_two_segments():
  packed = pair_packing.pack_pairs([pair(2, 3), pair(4, 1)], length=6)
  assert packed.segments.tolist() == [[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 2, 0]]
  assert packed.positions.tolist() == [
    [0, 1, 0, 1, 2, -1],
    [0, 1, 2, 3, 0, -1],
  ]
  assert packed.sequence_ids.tolist() == [
    [0, 0, 1, 1, 1, -1],
    [2, 2, 2, 2, 3, -1],
  ]
  assert packed.tokens[0, 2:5].tolist() == pair(2, 3).rejected.tokens.tolist()


@pytest.mark.parametrize("rewards", [(1.0, 1.0), (0.0, 1.0), (np.nan, 0.0)])
def test_refuses_a_pair_without_a_preference(rewards):
  with pytest.raises(InputError, match="pair 1 .*rewards.*first to be higher"):
    pair_packing.pack_pairs([pair(2, 3), pair(2, 3, rewards)], length=8)


def test_refuses_a_pair_longer_than_a_row():
  with pytest.raises(InputError, match=r"pair 0 has 4 \+ 5 tokens.* most 8"):
    pair_packing.pack_pairs([pair(4, 5)], length=8)
