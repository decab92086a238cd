import sys

import numpy as np
import pytest
from oracles import packing as oracle

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import loader, packing, placing
from qsharp_jax.data.ragged import Ragged


def unpack(packed):
  """Cell by cell; returns {sequence id: [(position, token, mask, label)]}."""
  found = {}
  for row in range(len(packed.tokens)):
    for slot in range(packed.tokens.shape[1]):
      cell = [field[row, slot].item() for field in packed]
      token, position, segment, mask, label, source = cell
      if segment == 0:
        assert cell == [0, -1, 0, False, 0.0, -1]
        continue
      found.setdefault((source, row, segment), []).append(
        (position, token, mask, label)
      )
  assert len({key[0] for key in found}) == len(found)  # never cut in two
  return {key[0]: cells for key, cells in found.items()}


@pytest.mark.parametrize("how", [packing.pack, packing.pad])
def test_round_trip(how):
  sizes = np.random.default_rng(0).integers(1, 33, 200)
  sequences = [oracle.sequence(int(n), i) for i, n in enumerate(sizes)]
  found = unpack(how(sequences, length=32))
  assert sorted(found) == list(range(200))
  for index, sequence in enumerate(sequences):
    assert found[index] == [
      (i, t, m, x)
      for i, (t, m, x) in enumerate(
        zip(*(a.tolist() for a in sequence[:3]), strict=True)
      )
    ]


def test_by_hand():
  sequences = [
    oracle.sequence(2),
    oracle.sequence(5),
    oracle.sequence(3),
    oracle.sequence(6),
    oracle.sequence(4),
  ]
  packed = packing.pack(sequences, length=8)
  # Longest first: 6 opens a row, 5 another, 4 a third; 3 fits best behind 5
  # (3 left, against 4), and 2 behind 6 (2 left).
  assert packed.sequence_ids.tolist() == [
    [3] * 6 + [0] * 2,
    [1] * 5 + [2] * 3,
    [4] * 4 + [-1] * 4,
  ]
  assert packed.segments.tolist() == [
    [1] * 6 + [2] * 2,
    [1] * 5 + [2] * 3,
    [1] * 4 + [0] * 4,
  ]
  assert packed.positions[0].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
  assert packed.positions[2].tolist() == [0, 1, 2, 3, -1, -1, -1, -1]


@pytest.mark.parametrize("chunk", [1, 50, 10**6])
def test_same_as_one_sequence_after_another(chunk, monkeypatch):
  monkeypatch.setattr(placing, "_CHUNK", chunk)
  sizes = np.random.default_rng(3).integers(1, 25, 150)
  sequences = [oracle.sequence(int(n), i) for i, n in enumerate(sizes)]
  want = oracle.pack(sequences, 24)
  for got, expected in zip(
    packing.pack(sequences, length=24), want, strict=True
  ):
    np.testing.assert_array_equal(got, expected)


def columns(sequences):
  """Columns, and the same sequences with the one label that columns have."""
  rng = np.random.default_rng(len(sequences))
  sizes = np.array([len(s.tokens) for s in sequences])
  cuts = rng.integers(0, sizes + 1)  # parts may be empty
  first = rng.integers(0, sizes)
  labels = rng.random(len(sizes)).astype(np.float32)
  single = [
    s._replace(mask=np.arange(n) >= f, labels=np.full(n, x, np.float32))
    for s, n, f, x in zip(sequences, sizes, first, labels, strict=True)
  ]
  pairs = list(zip(sequences, cuts, strict=True))
  parts = (
    Ragged.of([s.tokens[:cut] for s, cut in pairs]),
    Ragged.of([s.tokens[cut:] for s, cut in pairs]),
  )
  return packing.Columns(parts, first, labels), single


@pytest.mark.parametrize("chunk", [1, 50, 10**6])
def test_columns_pack_as_sequences_do(chunk, monkeypatch):
  monkeypatch.setattr(placing, "_CHUNK", chunk)
  sizes = np.random.default_rng(2).integers(1, 33, 200)
  whole, single = columns(
    [oracle.sequence(int(n), i) for i, n in enumerate(sizes)]
  )
  got, want = (
    packing.pack_columns(whole, length=32),
    packing.pack(single, length=32),
  )
  for one, other in zip(got, want, strict=True):
    np.testing.assert_array_equal(one, other)
  # Rows of a length need no larger integers; batches of them are all alike.
  assert (got.positions.dtype, got.segments.dtype) == (np.int8, np.uint8)
  batches = [
    loader.Loader(rows, batch_size=2, seed=0).batch(0) for rows in (got, want)
  ]
  for one, other in zip(*map(dict.values, batches), strict=True):
    np.testing.assert_array_equal(one, other)
    assert one.dtype == other.dtype


def test_columns_may_be_a_selection_or_none():
  whole, single = columns([oracle.sequence(n) for n in (3, 5, 4, 2)])
  chosen = np.array([3, 1])
  few = packing.Columns(
    tuple(part.take(chosen) for part in whole.parts),
    whole.first_loss[chosen],
    whole.labels[chosen],
  )
  got = packing.pack_columns(few, length=8)
  want = packing.pack([single[i] for i in chosen], length=8)
  for one, other in zip(got, want, strict=True):
    np.testing.assert_array_equal(one, other)
  none = packing.Columns((Ragged.of([]),), np.zeros(0, int), np.zeros(0))
  assert packing.pack_columns(none, length=8).tokens.shape == (0, 8)


@pytest.mark.parametrize("size", [0, 9])
def test_errors_name_the_sequence_of_columns(size):
  parts = (Ragged.of([[1], []]), Ragged.of([[2], [3] * size]))
  wrong = packing.Columns(parts, np.zeros(2, int), np.zeros(2))
  with pytest.raises(InputError, match=f"sequence 1 has {size} tokens.*1..8"):
    packing.pack_columns(wrong, length=8)


def test_types():
  kinds = [
    field.dtype for field in packing.pack([oracle.sequence(3)], length=4)
  ]
  assert kinds == [np.int32, np.int32, np.int32, bool, np.float32, np.int32]


def test_one_per_row():
  sequences = [oracle.sequence(2), oracle.sequence(8), oracle.sequence(1)]
  padded = packing.pad(sequences, length=8)
  assert padded.tokens.shape == (3, 8)
  assert padded.sequence_ids[:, 0].tolist() == [0, 1, 2]
  assert padded.segments.max() == 1


def test_no_sequence_gives_no_row():
  assert packing.pack([], length=8).tokens.shape == (0, 8)


def lines_run(function):
  """How many lines of both modules a call runs: its time, on any machine."""
  files = (packing.__file__, placing.__file__)
  count = 0

  def on_line(frame, event, argument):
    nonlocal count
    count += event == "line"
    return on_line

  def on_call(frame, event, argument):
    return on_line if frame.f_code.co_filename in files else None

  before = sys.gettrace()
  sys.settrace(on_call)
  try:
    function()
  finally:
    sys.settrace(before)
  return count


def test_work_grows_with_the_number_of_sequences():
  whole = oracle.sequence(300)
  sizes = np.random.default_rng(1).integers(10, 300, 4000)
  sequences = [whole._replace(tokens=whole.tokens[:n]) for n in sizes]
  sequences = [
    s._replace(mask=whole.mask[: len(s.tokens)], labels=s.tokens)
    for s in sequences
  ]
  half, all_of_them = (
    lines_run(lambda n=n: packing.pack(sequences[:n], length=512))
    for n in (2000, 4000)
  )
  assert 1.9 * half < all_of_them < 2.1 * half


def test_large_packs_tight_and_the_same_twice():
  sizes = np.random.default_rng(1).integers(10, 300, 100_000)
  whole = oracle.sequence(300)
  sequences = [
    packing.Sequence(whole.tokens[:n], whole.mask[:n], whole.labels[:n])
    for n in sizes.tolist()
  ]
  packed = packing.pack(sequences, length=512)
  assert len(packed.tokens) <= 1.02 * sizes.sum() / 512 + 1
  assert (packed.segments > 0).sum() == sizes.sum()
  few = [sequences[i] for i in range(500)]
  twice = packing.pack(few, length=512), packing.pack(few, length=512)
  for one, other in zip(*twice, strict=True):
    np.testing.assert_array_equal(one, other)


def test_errors_name_the_sequence():
  with pytest.raises(InputError, match="sequence 1 has 9 tokens"):
    packing.pack([oracle.sequence(3), oracle.sequence(9)], length=8)
  with pytest.raises(InputError, match="sequence 0 has 0 tokens"):
    packing.pad([oracle.sequence(0)], length=8)
  broken = oracle.sequence(3)._replace(labels=np.zeros(1, np.float32))
  with pytest.raises(InputError, match="equal lengths"):
    packing.pack([broken], length=8)


def test_labels_may_have_columns():
  sequences = [oracle.sequence(3), oracle.sequence(5), oracle.sequence(2)]
  wide = [
    s._replace(labels=np.stack([s.labels, 2 * s.labels], axis=-1))
    for s in sequences
  ]
  one, two = (packing.pack(x, length=6) for x in (sequences, wide))
  np.testing.assert_array_equal(two.labels[..., 0], one.labels)
  np.testing.assert_array_equal(two.labels[..., 1], 2 * one.labels)
  for name in set(packing.Packed._fields) - {"labels"}:
    np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_labels_must_have_as_many_columns_as_each_other():
  wide = oracle.sequence(4)._replace(labels=np.zeros((4, 2), np.float32))
  with pytest.raises(InputError, match=r"sequence 1 .*\(4, 2\).*\(4,\)"):
    packing.pack([oracle.sequence(3), wide], length=8)


@pytest.mark.parametrize("length", [10, 15, 29, 31])
def test_never_needs_more_rows_than_foretold(length):
  rng = np.random.default_rng(length)
  for num in (1, 7, 40):
    for low in (1, 8, 10):
      found = packing.pack(
        [oracle.sequence(int(n)) for n in rng.integers(low, 11, num)],
        length=length,
      )
      most = packing.most_rows(num, longest=10, length=length)
      assert len(found.tokens) <= most
  full = packing.pack([oracle.sequence(10)] * 40, length=length)
  assert len(full.tokens) == packing.most_rows(40, longest=10, length=length)
