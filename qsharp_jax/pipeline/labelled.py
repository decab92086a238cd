"""From rollouts to labelled sequences: aggregate, drop, hold out."""

import dataclasses

import numpy as np
from absl import logging

from qsharp_jax import data
from qsharp_jax.core import seeds
from qsharp_jax.rollout import columns


@dataclasses.dataclass(frozen=True)
class Split:
  """Rollouts to train on, and two kinds that training never sees."""

  train: columns.Rollouts
  train_places: np.ndarray  # where those stood among all rollouts
  held_out_samples: columns.Rollouts  # of questions that are trained on
  held_out_questions: columns.Rollouts


def split(rollouts: columns.Rollouts, *, one_in: int = 50) -> Split:
  """Splits by question, then by sample; drops questions without signal.

  Questions of the split `validation` are held out. A question whose several
  samples all got one label says nothing about its tokens and is dropped from
  training and from the held-out samples. A sample whose reward failed has no
  label and is dropped too. Both are logged.

  Args:
    rollouts: of all rounds so far.
    one_in: one sample in so many is held out, the same ones in every round.
  """
  graded = rollouts.take(rollouts.is_graded)
  ids, codes = graded.questions()
  is_single = np.bincount(codes, minlength=len(ids)) == 1
  has_signal = columns.mixed_questions(graded) | is_single[codes]
  is_validation = graded.split == "validation"
  is_held_out = _held_out_samples(graded, one_in)
  is_kept = has_signal & ~is_validation
  logging.info(
    "%d rollouts: %d failed to be graded; %d questions of %d have mixed "
    "labels or one sample",
    len(rollouts),
    len(rollouts) - len(graded),
    len(np.unique(codes[has_signal])),
    len(rollouts.questions()[0]),
  )
  return Split(
    graded.take(is_kept & ~is_held_out),
    np.flatnonzero(rollouts.is_graded)[is_kept & ~is_held_out],
    graded.take(is_kept & is_held_out),
    graded.take(is_validation),
  )


def _held_out_samples(rollouts: columns.Rollouts, one_in: int) -> np.ndarray:
  """One sample in so many, by what it is and not by where it stands."""
  pairs = zip(rollouts.question_id, rollouts.sample.tolist(), strict=True)
  drawn = (seeds.stable_seed(*pair) % one_in == 0 for pair in pairs)
  return np.fromiter(drawn, bool, len(rollouts))


def pack(
  rollouts: columns.Rollouts,
  *,
  length: int,
  is_outcome_only: bool = False,
) -> data.Packed:
  """Packs prompt + completion; from the switch on, tokens carry the label.

  Rollouts that ended before their switch have nothing to teach and are left
  out.

  Args:
    rollouts: graded.
    length: of the rows.
    is_outcome_only: label the last token alone, as for a reward model of whole
      answers.
  """
  first = rollouts.lengths - 1 if is_outcome_only else rollouts.first_label
  is_labelled = first < rollouts.lengths
  chosen = rollouts.take(is_labelled)
  return data.packing.pack_columns(
    data.packing.Columns(
      (chosen.prompt, chosen.tokens),
      chosen.prompt.lengths + first[is_labelled],
      chosen.label.astype(np.float32),
    ),
    length=length,
  )
