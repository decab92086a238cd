"""What one iteration has sampled, and what a method makes of it."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

import jax.numpy as jnp
import numpy as np

from qsharp_jax import data, generate, rollout
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.training import objectives


@dataclasses.dataclass(frozen=True)
class Experience:
  """The samples of one iteration: P prompts, S samples of each."""

  problems: Sequence[rollout.Problem]
  completions: Sequence[Sequence[generate.Completion]]
  rewards: np.ndarray  # [P, S] float32
  is_graded: np.ndarray  # [P, S] bool; False where the reward failed

  def totals(self, name: str) -> np.ndarray:
    """Sums over the tokens of each completion of one of its fields. [P, S]."""
    return np.array(
      [[getattr(c, name).sum() for c in g] for g in self.completions]
    )


def _as_they_are(params: PyTree, rows: data.Packed) -> np.ndarray:
  del params
  return rows.labels


@dataclasses.dataclass(frozen=True)
class Credit:
  """What a method's objective wants to know of samples, token by token.

  It travels as the labels of packed rows: one number a token, or the columns of
  the method's own named tuple, in the order of its fields.

  Attributes:
    of_samples: labels of the tokens of each completion, [n] or [n, F], prompt
      by prompt and sample by sample.
    of_rows: final labels [R, T, …] of packed rows, from those that `of_samples`
      put there and from the parameters that sampled.
  """

  of_samples: Callable[[Experience], Iterable[np.ndarray]]
  of_rows: Callable[[PyTree, data.Packed], np.ndarray] = _as_they_are


def columns(batch: objectives.Batch) -> Array:
  """The labels column by column, 0 outside the mask. Shape [F, B, T]."""
  # Before the loss: after it, the gradient would be 0 times what is there.
  labels = jnp.where(batch["mask"][..., None], batch["labels"], 0.0)
  return jnp.moveaxis(labels, -1, 0)


def summary(experience: Experience) -> dict[str, float]:
  """Means over the samples of an iteration.

  `kl` is KL(policy || reference) in nats, summed over the response; `failed`
  counts the samples whose reward failed, which take no part in `reward`.
  """
  graded = experience.rewards[experience.is_graded]
  completions = list(itertools.chain.from_iterable(experience.completions))
  return {
    "reward": float(graded.mean()) if graded.size else 0.0,
    "kl": float(np.mean(experience.totals("kl"))),
    "length": float(np.mean([len(c.tokens) for c in completions])),
    "failed": int((~experience.is_graded).sum()),
  }


def sequences(
  experience: Experience, labels: Iterable[np.ndarray]
) -> Iterable[data.Sequence]:
  """Prompts with completions; those that were not graded are left out."""
  samples = [
    (problem, completion, is_graded)
    for problem, group, column in zip(
      experience.problems,
      experience.completions,
      experience.is_graded,
      strict=True,
    )
    for completion, is_graded in zip(group, column, strict=True)
  ]
  for (problem, completion, is_graded), labels_of_tokens in zip(
    samples, labels, strict=True
  ):
    if is_graded:
      yield data.packing.completion(
        problem.prompt, completion.tokens, labels_of_tokens
      )
