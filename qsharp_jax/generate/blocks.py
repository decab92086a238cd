"""Block-wise search: sample blocks, keep the prefixes of the best values."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from qsharp_jax.core import seeds as seeds_lib
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import requests as requests_lib

# Answers, whole or so far, to the value of each: [n].
Score = Callable[[requests_lib.Ends], np.ndarray]


@dataclasses.dataclass
class _Beam:
  """One prefix of an answer, grown block by block."""

  request: int
  completion: requests_lib.Completion | None = None  # None: nothing yet
  is_over: bool = False

  @property
  def tokens(self) -> list[int]:
    """What was written so far."""
    return [] if self.completion is None else self.completion.tokens.tolist()


def generate(
  complete: requests_lib.Complete,
  score: Score,
  requests: Sequence[requests_lib.Request],
  *,
  num_kept: int,
  block_length: int,
  max_new_tokens: int,
) -> Iterator[list[requests_lib.Completion]]:
  """Of N blocks of m tokens keeps the best w, until all answers have ended.

  The last N answers are returned, to be voted on. Their KL is not known, since
  the choice among blocks is not a distribution of tokens: it is NaN.

  Args:
    complete: samples one block, guided or not.
    score: the value of a prefix.
    requests: N seeds each, N a multiple of w.
    num_kept: w.
    block_length: m, in tokens.
    max_new_tokens: of a whole answer.

  Yields:
    The N answers of the next request.

  Raises:
    InputError: N is no multiple of w.

  Source: arXiv 2505.17373 (value-guided search).
  """
  num_samples = len(requests[0].seeds) if requests else num_kept
  if num_kept < 1 or num_samples % num_kept:
    raise InputError(
      f"num_kept is {num_kept}; expected a divisor of the {num_samples} "
      "samples of each question"
    )
  kept = [[_Beam(i)] * num_kept for i in range(len(requests))]
  forwards = np.zeros(len(requests), np.int64)
  for block in range(-(-max_new_tokens // block_length)):
    left = max_new_tokens - block * block_length
    length = min(block_length, left)
    grown = _grow(complete, requests, kept, block, length, forwards)
    is_last = left <= block_length or all(b.is_over for g in grown for b in g)
    if is_last:
      break
    kept = _keep(score, requests, grown, num_kept, forwards)
  for i, beams in enumerate(grown):
    share = int(forwards[i]) // num_samples
    yield [
      dataclasses.replace(beam.completion, num_forwards=share) for beam in beams
    ]


def _grow(
  complete: requests_lib.Complete,
  requests: Sequence[requests_lib.Request],
  kept: Sequence[Sequence[_Beam]],
  block: int,
  length: int,
  forwards: np.ndarray,
) -> list[list[_Beam]]:
  """N beams of each request, from its w; `forwards` counts what it took."""
  flat = [(beam, j) for beams in kept for j, beam in enumerate(beams)]
  wanted = [
    _request(requests[beam.request], beam, j, len(kept[0]), block, length)
    for beam, j in flat
    if not beam.is_over
  ]
  blocks = complete(wanted)
  grown: list[list[_Beam]] = [[] for _ in requests]
  for beam, _ in flat:
    per_beam = len(requests[beam.request].seeds) // len(kept[0])
    children = [beam] * per_beam
    if not beam.is_over:
      found = next(blocks)
      forwards[beam.request] += sum(c.num_forwards for c in found)
      children = [_extend(beam, completion) for completion in found]
    grown[beam.request] += children
  return grown


def _request(
  request: requests_lib.Request,
  beam: _Beam,
  place: int,
  num_kept: int,
  block: int,
  length: int,
) -> requests_lib.Request:
  """Asks for the next block, from the seeds of the beam's place."""
  per_beam = len(request.seeds) // num_kept
  own = request.seeds[place * per_beam : (place + 1) * per_beam]
  return requests_lib.Request(
    [*request.prompt, *beam.tokens],
    [seeds_lib.stable_seed(seed, block) for seed in own],
    request.eta,
    max_new_tokens=length,
    num_written=len(beam.tokens),
  )


def _extend(beam: _Beam, block: requests_lib.Completion) -> _Beam:
  """The beam with one more block."""
  unknown = np.full(len(beam.tokens) + len(block.tokens), np.nan, np.float32)

  def join(name):
    return getattr(block, name)

  num_scored = block.num_scored
  if beam.completion is not None:

    def join(name):
      return np.concatenate(
        [getattr(beam.completion, name), getattr(block, name)]
      )

    num_scored += beam.completion.num_scored
  whole = dataclasses.replace(
    block,
    tokens=join("tokens"),
    log_probs=join("log_probs"),
    ref_log_probs=join("ref_log_probs"),
    kl=unknown,
    kl_filtered=unknown,
    num_scored=num_scored,
  )
  return _Beam(beam.request, whole, is_over=block.ended)


def _keep(
  score: Score,
  requests: Sequence[requests_lib.Request],
  grown: Sequence[Sequence[_Beam]],
  num_kept: int,
  forwards: np.ndarray,
) -> list[list[_Beam]]:
  """The w beams of the best values; one that had ended counts once.

  `forwards` counts the prefixes that were read.
  """
  distinct = [list({id(b): b for b in beams}.values()) for beams in grown]
  forwards += [len(beams) for beams in distinct]
  values = iter(
    score(
      [
        (requests[beam.request], beam.tokens)
        for beams in distinct
        for beam in beams
      ]
    )
  )
  kept = []
  for beams in distinct:
    ranked = sorted(beams, key=lambda _: -next(values))
    kept.append([ranked[j % len(ranked)] for j in range(num_kept)])
  return kept


def best_of(
  complete: requests_lib.Complete,
  score: Score,
  requests: Sequence[requests_lib.Request],
  *,
  num_samples: int,
) -> Iterator[list[requests_lib.Completion]]:
  """Of n whole answers the one of the greatest value.

  Its KL is not known, and NaN; ln n - (n - 1) / n bounds it.

  Args:
    complete: samples whole answers.
    score: the value of an answer.
    requests: one seed each, from which those of the samples are made.
    num_samples: n.

  Yields:
    The chosen answer of the next request, alone.
  """
  wanted = [
    dataclasses.replace(
      r,
      seeds=[seeds_lib.stable_seed(r.seeds[0], i) for i in range(num_samples)],
    )
    for r in requests
  ]
  for request, found in zip(requests, complete(wanted), strict=True):
    values = score([(request, c.tokens.tolist()) for c in found])
    best = found[int(np.argmax(values))]
    unknown = np.full(len(best.tokens), np.nan, np.float32)
    yield [
      dataclasses.replace(
        best,
        kl=unknown,
        kl_filtered=unknown,
        # The values read every answer once.
        num_forwards=sum(c.num_forwards + 1 for c in found),
      )
    ]
