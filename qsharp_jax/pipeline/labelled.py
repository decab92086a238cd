"""From rollouts to labelled sequences: aggregate, drop, hold out."""

import collections
import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
from absl import logging

from qsharp_jax import data
from qsharp_jax.core import seeds
from qsharp_jax.rollout import store


@dataclasses.dataclass(frozen=True)
class Split:
  """Rollouts to train on, and two kinds that training never sees."""

  train: list[store.Rollout]
  held_out_samples: list[store.Rollout]  # of questions that are trained on
  held_out_questions: list[store.Rollout]


def split(
  rollouts: Sequence[store.Rollout],
  *,
  held_out_questions: Collection[str],
  one_in: int = 50,
) -> Split:
  """Splits by question, then by sample; drops questions without signal.

  A question whose several samples all got one label says nothing about its
  tokens and is dropped from training and from the held-out samples. A sample
  whose reward failed has no label and is dropped too. Both are logged.

  Args:
    rollouts: of all rounds so far.
    held_out_questions: ids of the validation questions.
    one_in: one sample in so many is held out, the same ones in every round.
  """
  graded = [r for r in rollouts if r.error is None]
  counts = collections.Counter(r.question_id for r in graded)
  singles = {question for question, count in counts.items() if count == 1}
  mixed = store.mixed_questions(graded) | singles
  result = Split([], [], [])
  for rollout in graded:
    if rollout.question_id in held_out_questions:
      result.held_out_questions.append(rollout)
    elif rollout.question_id in mixed:
      index = seeds.stable_seed(rollout.question_id, rollout.sample)
      chosen = result.held_out_samples if index % one_in == 0 else result.train
      chosen.append(rollout)
  logging.info(
    "%d rollouts: %d failed to be graded; %d questions of %d have mixed "
    "labels or one sample",
    len(rollouts),
    len(rollouts) - len(graded),
    len(mixed),
    len({r.question_id for r in rollouts}),
  )
  return result


def pack(
  rollouts: Sequence[store.Rollout],
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
  if is_outcome_only:
    rollouts = [
      dataclasses.replace(r, first_label=len(r.tokens) - 1) for r in rollouts
    ]
  labelled = [r for r in rollouts if r.first_label < len(r.tokens)]
  return data.packing.pack([_sequence(r) for r in labelled], length=length)


def _sequence(rollout: store.Rollout) -> data.Sequence:
  tokens = np.concatenate([rollout.prompt, rollout.tokens]).astype(np.int32)
  mask = np.arange(len(tokens)) >= len(rollout.prompt) + rollout.first_label
  labels = np.full(len(tokens), rollout.label, np.float32)
  return data.Sequence(tokens, mask, labels)
