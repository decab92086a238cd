import collections

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import Loader, packing


def rows(num):
  sequences = [
    packing.Sequence(
      np.full(4, i + 1, np.int32), np.ones(4, bool), np.full(4, i, np.float32)
    )
    for i in range(num)
  ]
  return packing.pad(sequences, length=5)


def ids(batch):
  return batch["sequence_ids"][:, 0].tolist()


def test_every_row_once_an_epoch_and_padding_at_the_end():
  loader = Loader(rows(10), batch_size=4, seed=0)
  assert loader.steps_per_epoch == 3
  for epoch in range(3):
    seen = [i for s in range(3) for i in ids(loader.batch(3 * epoch + s))]
    assert collections.Counter(seen) == {**dict.fromkeys(range(10), 1), -1: 2}
    assert seen[-2:] == [-1, -1]
  last = loader.batch(2)
  for name, padding in packing.PADDING._asdict().items():
    assert last[name].shape == (4, 5)
    assert last[name].dtype == padding.dtype
    assert (last[name][2:] == padding).all()


@pytest.mark.parametrize(
  ("num", "sizes"), [(9, [3, 3, 3]), (10, [4, 3, 3]), (8, [4, 4]), (3, [3])]
)
def test_even_batches_differ_by_one_row_at_most(num, sizes):
  loader = Loader(rows(num), batch_size=4, seed=0, is_even=True)
  assert loader.steps_per_epoch == len(sizes)
  for epoch in range(2):
    first = epoch * len(sizes)
    found = [ids(loader.batch(first + s)) for s in range(len(sizes))]
    assert [sum(i >= 0 for i in batch) for batch in found] == sizes
    assert all(len(batch) == 4 for batch in found)
    seen = [i for batch in found for i in batch if i >= 0]
    assert sorted(seen) == list(range(num))


def test_rows_stay_whole():
  data = rows(6)
  batch = Loader(data, batch_size=3, seed=1).batch(1)
  for place, source in enumerate(ids(batch)):
    for name, field in data._asdict().items():
      np.testing.assert_array_equal(batch[name][place], field[source])


def test_resuming_anywhere_equals_going_through():
  through = Loader(rows(11), batch_size=4, seed=5)
  batches = [through.batch(step) for step in range(9)]
  for step in (8, 0, 4, 5, 2):
    resumed = Loader(rows(11), batch_size=4, seed=5).batch(step)
    back = through.batch(step)
    for name, field in batches[step].items():
      np.testing.assert_array_equal(resumed[name], field)
      np.testing.assert_array_equal(back[name], field)


def test_epochs_and_seeds_have_their_own_order():
  def order(seed, epoch):
    return ids(Loader(rows(50), batch_size=50, seed=seed).batch(epoch))

  orders = [order(0, 0), order(0, 1), order(1, 0), order(1, 1)]
  assert all(sorted(o) == list(range(50)) for o in orders)
  assert len(set(map(tuple, orders))) == 4


def test_batches_do_not_share_memory_with_the_data():
  data = rows(4)
  Loader(data, batch_size=4, seed=0).batch(0)["tokens"][:] = 99
  assert data.tokens.max() == 4


def test_errors():
  with pytest.raises(InputError, match="no rows"):
    Loader(packing.pack([], length=4), batch_size=1, seed=0)
  with pytest.raises(InputError, match="at least 1"):
    Loader(rows(4), batch_size=0, seed=0)


def test_labels_with_columns_are_padded_too():
  data = rows(3)
  data = data._replace(labels=np.stack([data.labels] * 2, axis=-1))
  last = Loader(data, batch_size=2, seed=0).batch(1)
  assert last["labels"].shape == (2, 5, 2)
  assert not last["labels"][1].any()
