"""What is trained on, what is held out, and which tokens carry a label."""

import numpy as np
import pytest
from oracles import rollouts as make

from qsharp_jax import data, rollout
from qsharp_jax.pipeline import labelled
from qsharp_jax.training import rows as rows_lib


def keys(rollouts):
  return {(r.question_id, r.sample, r.seed) for r in rollouts}


def many(round_index=1, num_questions=30, num_samples=8, held_out=()):
  """Questions with labels 0 and 1 mixed."""
  return make.columns(
    *(
      make.rollout(
        f"q{q}",
        s,
        seed=round_index,
        label=float((q + s) % 2),
        split="validation" if f"q{q}" in held_out else "train",
      )
      for q in range(num_questions)
      for s in range(num_samples)
    )
  )


def test_the_three_parts_share_nothing():
  held = {f"q{i}" for i in range(5)}
  rollouts = many(held_out=held)
  split = labelled.split(rollouts, one_in=5)
  parts = [split.train, split.held_out_samples, split.held_out_questions]
  assert all(map(len, parts))
  assert sum(map(len, parts)) == len(rollouts)
  assert keys(parts[0]) | keys(parts[1]) | keys(parts[2]) == keys(rollouts)
  assert {r.question_id for r in split.held_out_questions} == held
  for part in parts[:2]:
    assert not held & {r.question_id for r in part}
  # Held-out samples are of questions that are trained on.
  trained = {r.question_id for r in split.train}
  assert {r.question_id for r in split.held_out_samples} <= trained


def test_about_one_sample_in_so_many_is_held_out():
  split = labelled.split(many(num_questions=500), one_in=10)
  assert 300 < len(split.held_out_samples) < 500  # of 4,000


def test_the_same_samples_are_held_out_in_every_round():
  first, second = many(1), many(2)
  alone = labelled.split(first, one_in=5)
  together = rollout.Rollouts.concatenate([first, second])
  both = labelled.split(together, one_in=5)
  name = lambda part: {(r.question_id, r.sample) for r in part}
  assert name(both.held_out_samples) == name(alone.held_out_samples)
  assert len(both.held_out_samples) == 2 * len(alone.held_out_samples)
  assert not name(both.train) & name(both.held_out_samples)


def test_questions_with_one_label_only_are_dropped():
  rollouts = make.columns(
    *(make.rollout("always", s, label=1.0) for s in range(4)),
    *(make.rollout("never", s, label=0.0) for s in range(4)),
    *(make.rollout("mixed", s, label=float(s == 2)) for s in range(4)),
    # Held-out questions are what they are.
    *(make.rollout("held", s, label=1.0, split="validation") for s in range(4)),
  )
  split = labelled.split(rollouts, one_in=10**9)
  assert {r.question_id for r in split.train} == {"mixed"}
  assert set(split.held_out_questions.question_id) == {"held"}
  assert len(split.held_out_questions) == 4


def test_labels_mixed_over_rounds_count():
  rollouts = make.columns(
    make.rollout("q", 0, seed=1, label=0.0),
    make.rollout("q", 1, seed=1, label=0.0),
    make.rollout("q", 0, seed=2, label=1.0),
  )
  split = labelled.split(rollouts, one_in=10**9)
  assert len(split.train) == 3


def test_a_failed_reward_is_no_label():
  failed = {"label": 0.0, "error": "TimeoutError"}
  rollouts = make.columns(
    make.rollout("q", 0, label=1.0),
    make.rollout("q", 1, label=1.0),
    make.rollout("q", 2, **failed),
    make.rollout("held", 0, split="validation", **failed),
  )
  split = labelled.split(rollouts)
  # Without the failed sample the question has one label only.
  parts = (split.train, split.held_out_samples, split.held_out_questions)
  assert list(map(len, parts)) == [0, 0, 0]


@pytest.mark.parametrize("first_label", [0, 1, 2])
def test_tokens_from_the_switch_on_carry_the_label(first_label):
  one = make.rollout(
    "q", 0, prompt=[5, 6], tokens=[7, 8, 9], first_label=first_label, label=0.5
  )
  rows = labelled.pack(make.columns(one), length=8)
  assert rows.tokens[0].tolist() == [5, 6, 7, 8, 9, 0, 0, 0]
  want = [False, False, False, False, False]
  want[2 + first_label :] = [True] * (3 - first_label)
  assert rows.mask[0].tolist() == [*want, False, False, False]
  np.testing.assert_array_equal(rows.labels[rows.mask], 0.5)
  assert rows.tokens.dtype == np.int32 and rows.labels.dtype == np.float32


def test_a_rollout_that_ended_before_its_switch_is_left_out():
  ended = make.rollout("q", 0, tokens=[7, 8], first_label=2)
  other = make.rollout("q", 1, tokens=[7, 8], first_label=1)
  rows = labelled.pack(make.columns(ended, other), length=16)
  assert set(rows.sequence_ids.ravel()) == {-1, 0}
  assert rows.mask.sum() == 1


def test_a_reward_model_of_answers_reads_the_last_token_alone():
  rows = make.columns(
    make.rollout("q", 0, prompt=[5, 6], tokens=[7, 8, 9], first_label=3),
    make.rollout("q", 1, prompt=[5], tokens=[7, 8], first_label=0),
  )
  packed = labelled.pack(rows, length=5, is_outcome_only=True)
  assert packed.mask.tolist() == [
    [False, False, False, False, True],
    [False, False, True, False, False],
  ]


def test_packs_as_sequences_one_by_one():
  rng = np.random.default_rng(0)
  rows = [
    make.rollout(
      f"q{i}",
      prompt=rng.integers(1, 9, 3 + i % 4).tolist(),
      tokens=rng.integers(1, 9, 1 + rng.integers(9)).tolist(),
      first_label=int(rng.integers(8)),
      label=float(rng.random()),
    )
    for i in range(200)
  ]
  sequences = []
  for row in rows:
    if row.first_label < len(row.tokens):
      tokens = np.array([*row.prompt, *row.tokens], np.int32)
      mask = np.arange(len(tokens)) >= len(row.prompt) + row.first_label
      labels = np.full(len(tokens), row.label, np.float32)
      sequences.append(data.Sequence(tokens, mask, labels))
  want = data.packing.pack(sequences, length=24)
  got = labelled.pack(make.columns(*rows), length=24)
  for one, other in zip(got, want, strict=True):
    np.testing.assert_array_equal(one, other)
  whole = (rows_lib.completed(x, len(x.tokens)) for x in (got, want))
  for one, other in zip(*whole, strict=True):
    np.testing.assert_array_equal(one, other)
    assert one.dtype == other.dtype
