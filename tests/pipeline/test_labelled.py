"""What is trained on, what is held out, and which tokens carry a label."""

import numpy as np
import pytest
from oracles import rollouts as make

from qsharp_jax.pipeline import labelled


def keys(rollouts):
  return {(r.question_id, r.sample, r.seed) for r in rollouts}


def many(round_index=1, num_questions=30, num_samples=8):
  """Questions with labels 0 and 1 mixed."""
  return [
    make.rollout(f"q{q}", s, seed=round_index, label=float((q + s) % 2))
    for q in range(num_questions)
    for s in range(num_samples)
  ]


def test_the_three_parts_share_nothing():
  rollouts = many()
  held = {f"q{i}" for i in range(5)}
  split = labelled.split(rollouts, held_out_questions=held, one_in=5)
  parts = [split.train, split.held_out_samples, split.held_out_questions]
  assert all(parts)
  assert sum(map(len, parts)) == len(rollouts)
  assert keys(parts[0]) | keys(parts[1]) | keys(parts[2]) == keys(rollouts)
  assert {r.question_id for r in split.held_out_questions} == held
  for part in parts[:2]:
    assert not held & {r.question_id for r in part}
  # Held-out samples are of questions that are trained on.
  trained = {r.question_id for r in split.train}
  assert {r.question_id for r in split.held_out_samples} <= trained


def test_about_one_sample_in_so_many_is_held_out():
  split = labelled.split(
    many(num_questions=500), held_out_questions=(), one_in=10
  )
  assert 300 < len(split.held_out_samples) < 500  # of 4,000


def test_the_same_samples_are_held_out_in_every_round():
  first, second = many(1), many(2)
  alone = labelled.split(first, held_out_questions=(), one_in=5)
  both = labelled.split([*first, *second], held_out_questions=(), one_in=5)
  name = lambda part: {(r.question_id, r.sample) for r in part}
  assert name(both.held_out_samples) == name(alone.held_out_samples)
  assert len(both.held_out_samples) == 2 * len(alone.held_out_samples)
  assert not name(both.train) & name(both.held_out_samples)


def test_questions_with_one_label_only_are_dropped():
  rollouts = [
    *(make.rollout("always", s, label=1.0) for s in range(4)),
    *(make.rollout("never", s, label=0.0) for s in range(4)),
    *(make.rollout("mixed", s, label=float(s == 2)) for s in range(4)),
  ]
  split = labelled.split(rollouts, held_out_questions=(), one_in=10**9)
  assert {r.question_id for r in split.train} == {"mixed"}
  # Held-out questions are what they are.
  split = labelled.split(rollouts, held_out_questions={"always"})
  assert len(split.held_out_questions) == 4


def test_labels_mixed_over_rounds_count():
  rollouts = [
    make.rollout("q", 0, seed=1, label=0.0),
    make.rollout("q", 1, seed=1, label=0.0),
    make.rollout("q", 0, seed=2, label=1.0),
  ]
  split = labelled.split(rollouts, held_out_questions=(), one_in=10**9)
  assert len(split.train) == 3


def test_a_failed_reward_is_no_label():
  rollouts = [
    make.rollout("q", 0, label=1.0),
    make.rollout("q", 1, label=1.0),
    make.rollout("q", 2, label=0.0, error="TimeoutError"),
    make.rollout("held", 0, label=0.0, error="TimeoutError"),
  ]
  split = labelled.split(rollouts, held_out_questions={"held"})
  # Without the failed sample the question has one label only.
  assert not (split.train or split.held_out_samples or split.held_out_questions)


@pytest.mark.parametrize("first_label", [0, 1, 2])
def test_tokens_from_the_switch_on_carry_the_label(first_label):
  rollout = make.rollout(
    "q", 0, prompt=[5, 6], tokens=[7, 8, 9], first_label=first_label, label=0.5
  )
  rows = labelled.pack([rollout], length=8)
  assert rows.tokens[0].tolist() == [5, 6, 7, 8, 9, 0, 0, 0]
  want = [False, False, False, False, False]
  want[2 + first_label :] = [True] * (3 - first_label)
  assert rows.mask[0].tolist() == [*want, False, False, False]
  np.testing.assert_array_equal(rows.labels[rows.mask], 0.5)
  assert rows.tokens.dtype == np.int32 and rows.labels.dtype == np.float32


def test_a_rollout_that_ended_before_its_switch_is_left_out():
  ended = make.rollout("q", 0, tokens=[7, 8], first_label=2)
  other = make.rollout("q", 1, tokens=[7, 8], first_label=1)
  rows = labelled.pack([ended, other], length=16)
  assert set(rows.sequence_ids.ravel()) == {-1, 0}
  assert rows.mask.sum() == 1
