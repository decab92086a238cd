"""Sequences to pack, and best-fit-decreasing, one after another."""

import numpy as np

from qsharp_jax.data import packing


def sequence(size, seed=0, group=0):
  """Random tokens, mask and labels."""
  rng = np.random.default_rng([size, seed])
  return packing.Sequence(
    rng.integers(1, 99, size).astype(np.int32),
    rng.random(size) < 0.5,
    rng.random(size).astype(np.float32),
    group,
  )


def best_fit(sizes, length):
  """The rows in the order in which they are opened: lists of sequence ids."""
  rows, spaces = [], []
  for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
    fitting = [s for s in spaces if s[0] >= sizes[i]]
    if fitting:
      # The least space; among equals the row that came to it last.
      least = min(space for space, _ in fitting)
      entry = [s for s in fitting if s[0] == least][-1]
      spaces.remove(entry)
    else:
      entry = (length, len(rows))
      rows.append([])
    rows[entry[1]].append(i)
    if entry[0] > sizes[i]:
      spaces.append((entry[0] - sizes[i], entry[1]))
  return rows


def pack(sequences, length):
  """Lists of rows of each field, for labels that are one number a token."""
  fields = [[], [], [], [], [], []]
  padding = (0, -1, 0, False, 0.0, -1)
  sizes = [len(s.tokens) for s in sequences]
  for row in best_fit(sizes, length):
    cells = []
    for segment, index in enumerate(row, 1):
      s = sequences[index]
      for i in range(sizes[index]):
        cell = (s.tokens[i], i, segment, s.mask[i], s.labels[i], index)
        cells.append(cell)
    cells += [padding] * (length - len(cells))
    for field, column in zip(fields, zip(*cells, strict=True), strict=True):
      field.append(list(column))
  return fields
