"""Preference pairs out of graded samples, scored under the frozen reference."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import numpy as np

from qsharp_jax import data, models, rollout
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.finetuning import objectives as policy_objectives
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import processes

# A problem's gold answer in tokens, the end token included.
Gold = Callable[[rollout.Problem], Sequence[int]]


def pairs(
  rollouts: Iterable[rollout.Rollout], *, per_question: int
) -> list[data.packing.Pair]:
  """The best samples of each question beside its worst ones.

  The best is paired with the worst, the second best with the second worst, and
  so on, as long as their rewards differ; samples whose reward failed, and
  questions whose samples are all alike, give no pair.

  Args:
    rollouts: graded samples of any number of questions.
    per_question: the most pairs of one question.
  """
  found = []
  for own in by_question(rollouts).values():
    ranked = sorted(own, key=lambda r: (-r.label, r.sample))
    for best, worst in list(zip(ranked, ranked[::-1], strict=True))[
      : min(per_question, len(ranked) // 2)
    ]:
      if best.label > worst.label:
        found.append(
          data.packing.Pair(
            sequence(best.prompt, best.tokens),
            sequence(worst.prompt, worst.tokens),
            best.label,
            worst.label,
          )
        )
  return found


def gold_pairs(
  rollouts: Iterable[rollout.Rollout],
  problems: Sequence[rollout.Problem],
  gold: Gold,
  *,
  per_question: int,
  gold_reward: float = 1.0,
) -> list[data.packing.Pair]:
  """The gold answer of each question beside samples that earned less.

  For tasks with too few samples of a question to differ among themselves.
  """
  answers = {problem.id: problem for problem in problems}
  found = []
  for question, own in by_question(rollouts).items():
    worse = [r for r in own if r.label < gold_reward]
    for rejected in worse[:per_question]:
      found.append(
        data.packing.Pair(
          sequence(rejected.prompt, gold(answers[question])),
          sequence(rejected.prompt, rejected.tokens),
          gold_reward,
          rejected.label,
        )
      )
  return found


def by_question(
  rollouts: Iterable[rollout.Rollout],
) -> Mapping[str, list[rollout.Rollout]]:
  """Graded samples by the id of their question."""
  found: dict[str, list[rollout.Rollout]] = {}
  for sample in rollouts:
    if sample.error is None:
      found.setdefault(sample.question_id, []).append(sample)
  return found


def sequence(prompt: Sequence[int], completion: Sequence[int]) -> data.Sequence:
  """Prompt and completion, the loss on the completion; labels are 0."""
  tokens = np.array([*prompt, *completion], np.int32)
  mask = np.arange(len(tokens)) >= len(prompt)
  return data.Sequence(tokens, mask, np.zeros(len(tokens), np.float32))


def scored(
  model: models.LanguageModel,
  params: PyTree,
  rows: data.Packed,
  *,
  batch_size: int,
  layout: layout_lib.Layout,
) -> data.Packed:
  """The same rows, labelled with the log-probabilities of their tokens.

  Args:
    model: the frozen model.
    params: its parameters.
    rows: any packed rows. Fields [R, T].
    batch_size: rows at a time.
    layout: places them.
  """
  forward = jax.jit(
    lambda params, batch: policy_objectives.token_log_probs(
      model, params, batch
    )
  )
  # Without shuffling, the loader would still complete the last batch.
  num_rows, length = rows.tokens.shape
  missing = data.packing.padding(-num_rows % batch_size, length)
  whole = data.Packed(
    *(np.concatenate(both) for both in zip(rows, missing, strict=True))
  )
  parts = []
  for start in range(0, num_rows, batch_size):
    batch = {
      name: getattr(whole, name)[start : start + batch_size]
      for name in ("tokens", "positions", "segments")
    }
    parts.append(processes.fetch(forward(params, layout.place(batch))))
  return rows._replace(labels=np.concatenate(parts)[:num_rows])
