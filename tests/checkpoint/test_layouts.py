"""Layouts by hand, and parts of parameters beside the whole."""

import numpy as np
import pytest
from oracles import decoders, torch_models

from qsharp_jax import models
from qsharp_jax.checkpoint import layouts, name_tables

SIZES = {"n": 4, "g": 2, "h": 3, "d": 5, "m": 6}


def _whole(entry, stored):
  read = stored.__getitem__
  everything = (slice(None),) * len(entry.axes()[1])
  return layouts.read(entry, SIZES, everything, read)


def test_parts_one_after_the_other():
  stored = np.arange((4 + 2 + 2) * 3 * 5).reshape(-1, 5)
  for number, (letter, start) in enumerate([("n", 0), ("g", 4), ("g", 6)]):
    layout = f"(n+g+g@{number} h) d -> {letter} h d"
    found = _whole(layouts.Entry("x", "y", layout), stored)
    rows = stored[3 * start : 3 * (start + SIZES[letter])]
    np.testing.assert_array_equal(found, rows.reshape(-1, 3, 5))


def test_parts_inside_every_head():
  stored = np.arange(4 * 9 * 5).reshape(-1, 5)
  for number in range(3):
    entry = layouts.Entry("x", "y", f"(n h+h+h@{number}) d -> n h d")
    found = _whole(entry, stored)
    for n in range(4):
      start = 9 * n + 3 * number
      np.testing.assert_array_equal(found[n], stored[start : start + 3])


@pytest.mark.parametrize("variant", ["gpt2", "neox", "llama_biases", "phi3"])
def test_a_part_equals_the_part_of_the_whole(variant):
  rng = np.random.default_rng(0)
  config, head = decoders.config(variant), models.HeadConfig("q", 3)
  sizes = layouts.sizes(config, head)
  family = torch_models.VARIANTS[variant][0]
  for entry in name_tables.entries(family, config, head):
    stored = rng.normal(size=layouts.stored_shape(entry, sizes))
    shape = layouts.shape(entry, sizes)
    read = lambda index, e=entry, s=stored, z=sizes: layouts.read(
      e, z, index, s.__getitem__
    )
    whole = read((slice(None),) * len(shape))
    assert whole.shape == shape
    for _ in range(4):
      ends = [sorted(rng.integers(0, n + 1, 2)) for n in shape]
      index = tuple(slice(int(a), int(b)) for a, b in ends)
      np.testing.assert_array_equal(read(index), whole[index])


def test_no_more_is_read_than_the_heads_wanted():
  stored = np.zeros(((4 + 2 + 2) * 3, 5))
  sizes = []

  def read(index):
    sizes.append(stored[index].shape)
    return stored[index]

  entry = layouts.Entry("x", "y", "(n+g+g@1 h) d -> g h d")
  layouts.read(entry, SIZES, (slice(1, 2), slice(None), slice(None)), read)
  assert sizes == [(3, 5)]
