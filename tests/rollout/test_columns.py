"""Rollouts as columns: rows, selections, groups."""

import dataclasses

import numpy as np
import pytest
from oracles import rollouts as make

from qsharp_jax.rollout import columns

ROWS = [
  make.rollout("b", 0, eta=0.2, label=1.0, tokens=[8]),
  make.rollout("a", 0, error="no answer", tokens=[], extracted=None),
  make.rollout("b", 1, value=0.25, tokens=[1, 2, 3], ended=False),
]


def plain(rollouts):
  return [make.plain(row) for row in rollouts]


def test_every_field_of_a_row_is_a_column():
  names = [field.name for field in dataclasses.fields(columns.Rollout)]
  assert [f.name for f in dataclasses.fields(columns.Rollouts)] == names
  assert list(columns.DTYPES) == names


def test_rows_come_back_as_they_went_in():
  rollouts = columns.Rollouts.of(ROWS)
  assert plain(rollouts) == plain(ROWS)
  row = rollouts[0]
  assert type(row.label) is float and type(row.ended) is bool
  assert type(row.sample) is int and row.eta == 0.2 and row.value is None
  assert np.isnan(rollouts.eta).tolist() == [False, True, True]


def test_columns_have_their_types():
  for rollouts in map(columns.Rollouts.of, (ROWS, [])):
    for name, dtype in columns.DTYPES.items():
      column = getattr(rollouts, name)
      assert len(column) == len(rollouts)
      assert dtype in (type(column), getattr(column, "dtype", None))


@pytest.mark.parametrize(
  "chosen", [[2, 0], np.array([True, False, True]), [], np.zeros(3, bool)]
)
def test_takes_rows(chosen):
  found = columns.Rollouts.of(ROWS).take(chosen)
  want = np.array(ROWS)[np.asarray(chosen, None if len(chosen) else int)]
  assert plain(found) == plain(want)


def test_concatenates():
  first, second = (columns.Rollouts.of(rows) for rows in (ROWS, ROWS[1:]))
  both = columns.Rollouts.concatenate([first, second])
  assert plain(both) == plain([*ROWS, *ROWS[1:]])
  assert len(columns.Rollouts.concatenate([])) == 0


def test_lengths_and_what_is_graded():
  rollouts = columns.Rollouts.of(ROWS)
  assert rollouts.lengths.tolist() == [1, 0, 3]
  assert rollouts.is_graded.tolist() == [True, False, True]


def test_groups_by_question_in_order_of_appearance():
  ids, codes = columns.Rollouts.of(ROWS).questions()
  assert ids.tolist() == ["b", "a"] and codes.tolist() == [0, 1, 0]
  ids, codes = columns.Rollouts.of([]).questions()
  assert len(ids) == len(codes) == 0


def mixed(rollouts):
  found = columns.Rollouts.of(rollouts)
  return set(found.question_id[columns.mixed_questions(found)])


def test_mixed_questions_by_hand():
  labels = {
    "all right": [1, 1],
    "all wrong": [0, 0],
    "one": [1],
    "mixed": [0, 1],
  }
  rollouts = [
    make.rollout(name, i, label=float(label))
    for name, found in labels.items()
    for i, label in enumerate(found)
  ]
  # Samples of a question need not stand side by side.
  assert mixed(rollouts[::-1]) == {"mixed"}
  assert mixed([]) == set()


def test_labels_that_differ_by_rounding_only_are_one_label():
  rollouts = [make.rollout(label=x) for x in (0.1 + 0.2, 0.3)]
  assert mixed(rollouts) == set()
