"""What a report reads from samples: rewards, votes, and what failed."""

import numpy as np

from qsharp_jax import rewards, rollout
from qsharp_jax.evaluation.samples import Samples
from qsharp_jax.pipeline import run as run_lib


def samples(run: run_lib.Run, found: rollout.Rollouts) -> Samples:
  """Rollouts as the columns that a row is made of."""
  correct = extracted = None
  if found.has_verdicts:
    correct = found.correct == 1  # a sample that was not graded is wrong
    extracted = votes_of(found, run.task.same_as)
  return Samples(
    question_ids=found.question_id,
    reward=rewards_of(run, found),
    correct=correct,
    extracted=extracted,
    kl=found.kl,
    kl_filtered=found.kl_filtered,
    length=found.lengths,
    truncated=~found.ended,
    seconds=float(found.seconds.sum()),
    value=found.value,
  )


def rewards_of(run: run_lib.Run, found: rollout.Rollouts) -> np.ndarray:
  """Rewards; of what was not graded the least that it can be or that is."""
  graded = found.label[found.is_graded]
  least = float(np.min(graded, initial=np.inf)) if graded.size else 0.0
  if run.task.bounds is not None:
    least = run.task.bounds[0]
  return np.where(found.is_graded, found.label, least)


def votes_of(
  found: rollout.Rollouts, same_as: rewards.classes.SameAs | None
) -> np.ndarray:
  """The class of each answer among those to its question: 18 is 18.0."""
  if same_as is None:
    return found.extracted
  votes, is_failed = np.full(len(found), None, object), ~found.is_graded
  _, codes = found.questions()
  ends = np.cumsum(np.bincount(codes))[:-1]
  for rows in np.split(np.argsort(codes, kind="stable"), ends):
    keys = rewards.classes.class_keys(
      found.extracted[rows].tolist(),
      same_as,
      is_failed=is_failed[rows].tolist(),
    )
    votes[rows] = np.array(keys, object)
  return votes


def failed_rewards(run: run_lib.Run) -> dict[str, dict[str, int]]:
  """Samples of each split whose reward failed, of rounds and evaluations."""
  counts: dict[str, dict[str, int]] = {}
  folders = [run.paths.samples(split, "") for split in ("validation", "test")]
  stores = [
    *(run.paths.rollouts(i + 1) for i in range(run.rounds.num_rounds)),
    *(store for folder in folders for store in sorted(folder.glob("*"))),
  ]
  for store in stores:
    if not store.is_dir():
      continue
    found = rollout.store.read(store, with_text=False)
    for split in np.unique(found.split).tolist():
      own = counts.setdefault(split, {"samples": 0, "failed": 0})
      is_own = found.split == split
      own["samples"] += int(is_own.sum())
      own["failed"] += int((is_own & ~found.is_graded).sum())
  return counts
