"""Of every question some samples scored whole, for their KL, others lazily.

Both draw the same tokens; a lazy one does not say what it cost in KL.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from qsharp_jax import generate


class Part(NamedTuple):
  """Some samples of every question, decoded as one stream.

  Attributes:
    samples: which ones, by their number.
    is_whole: whether all candidates are scored; otherwise lazily.
    widen: so many times as many prompts fill the rows of all samples.
  """

  samples: tuple[int, ...]
  is_whole: bool
  widen: int


# (requests for the samples of a part, the part) -> their completions.
Complete = Callable[
  [Sequence[generate.Request], Part], Iterator[list[generate.Completion]]
]


def parts(num_samples: int, kl_every: int) -> list[Part]:
  """What is decoded apart.

  Args:
    num_samples: of every question.
    kl_every: the first sample, and one of so many, is scored whole; 0: none is.
  """
  every = range(num_samples)
  whole = tuple(every[::kl_every]) if kl_every else ()
  lazy = tuple(i for i in every if i not in whole)
  return [
    Part(own, is_whole, num_samples // len(own))
    for own, is_whole in ((whole, True), (lazy, False))
    if own
  ]


def complete(
  run: Complete, requests: Sequence[generate.Request], kl_every: int
) -> Iterator[list[generate.Completion]]:
  """Completions of all requests, whole ones being there on return.

  Args:
    run: decodes a part.
    requests: all with the same number of samples.
    kl_every: see `parts`.

  Returns:
    The completions of each request, in order. The KL of those that were drawn
    lazily is NaN, even where it happens to be known: that of answers without a
    choice is 0, which would draw a mean over what is known down.
  """
  *first, last = parts(len(requests[0].seeds), kl_every)
  found = [list(run([_of(r, part) for r in requests], part)) for part in first]
  return _joined(
    [*first, last], [*found, run([_of(r, last) for r in requests], last)]
  )


def _joined(
  parts: Sequence[Part],
  found: Sequence[Iterator[list[generate.Completion]]],
) -> Iterator[list[generate.Completion]]:
  """The samples of every request side by side again."""
  for groups in zip(*found, strict=True):
    samples = {
      i: completion if part.is_whole else _without_kl(completion)
      for part, group in zip(parts, groups, strict=True)
      for i, completion in zip(part.samples, group, strict=True)
    }
    yield [samples[i] for i in sorted(samples)]


def _without_kl(completion: generate.Completion) -> generate.Completion:
  nothing = np.full_like(completion.kl, math.nan)
  return dataclasses.replace(completion, kl=nothing, kl_filtered=nothing)


def _of(request: generate.Request, part: Part) -> generate.Request:
  """The same question, some samples."""

  def take(column):
    return column and [column[i] for i in part.samples]

  return dataclasses.replace(
    request,
    seeds=take(request.seeds),
    guided_steps=take(request.guided_steps),
  )
