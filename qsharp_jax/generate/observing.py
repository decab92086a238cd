"""The decode loop beside plain forward passes: are their distributions one?

The loop keeps keys and values in a ring, scores candidates as leaves of one
pass, lets prompts take the rows of others and cuts arrays over devices. A plain
pass reads a whole sequence, and knows none of that.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import batching, next_token, reading, scoring
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate import turn as turn_lib
from qsharp_jax.sharding import processes

_LEAVES = 64  # sequences of a plain pass of the value model
_ROWS = 16  # tokens are read and compared in multiples of so many


class Comparison(NamedTuple):
  """One answer, drawn again and read plainly.

  Attributes:
    tokens: that the loop drew. [T].
    kl: KL(loop || plain) of each token over the full vocabulary, nats; NaN of
      a token that was not compared. [T].
  """

  tokens: np.ndarray
  kl: np.ndarray


class Observer:
  """The loop turn by turn, keeping what each token was drawn from."""

  def __init__(self) -> None:
    """With nothing seen."""
    # Seed of a row -> a distribution [V] for each token.
    self.seen: dict[int, list[np.ndarray]] = {}

  def __call__(
    self,
    policy: policy_lib.Policy,
    params: PyTree,
    state: state_lib.DecodeState,
    num_finished: np.int32,
  ) -> state_lib.DecodeState:
    """As `decode.decode`."""
    num_slots = state.caches["reference"].positions.shape[1]
    while True:
      before = processes.fetch(state.replace(caches=None, race=None))
      has_room = before.position + before.holes < num_slots
      if not (before.finished | has_room).all():
        return state
      if before.finished.sum() >= num_finished:
        return state
      state, distribution = _turn(policy, params, state)
      drawn = processes.fetch(distribution.sampled)
      for row in np.flatnonzero(~before.finished):
        own = self.seen.setdefault(int(before.controls.seeds[row]), [])
        own.append(np.array(drawn[row]))


def compare(
  policy: policy_lib.Policy,
  params: PyTree,
  requests: Sequence[requests_lib.Request],
  sampling: requests_lib.Sampling,
  *,
  place: Callable[[PyTree], PyTree] = jax.device_put,
  most_positions: int | None = None,
) -> Iterator[Comparison]:
  """Draws answers, and compares what they were drawn from with plain passes.

  Args:
    policy: models and guidance, all candidates scored at once.
    params: see `Policy`.
    requests: all seeds differ.
    sampling: how to sample; few prompts at a time make others wait for rows.
    place: puts arrays with a leading batch dimension on the devices.
    most_positions: of an answer that are compared, evenly chosen: a plain pass
      reads a whole sequence for each candidate. None: all.

  Yields:
    A comparison for each request and seed, once all are drawn.
  """
  observer = Observer()
  groups = batching.generate(
    policy, params, requests, sampling, place=place, advance=observer
  )
  pairs = [
    (dataclasses.replace(request, seeds=[seed]), answer.tokens)
    for request, answers in zip(requests, groups, strict=True)
    for seed, answer in zip(request.seeds, answers, strict=True)
  ]
  longest = max(len(own.prompt) + len(tokens) for own, tokens in pairs)
  plain = _Plain(policy, params, sampling, width=longest)
  for request, tokens in pairs:
    length = len(tokens)
    most = length if most_positions is None else min(length, most_positions)
    where = np.unique(np.linspace(0, length - 1, most).round().astype(int))
    drawn = np.stack([observer.seen[int(request.seeds[0])][t] for t in where])
    kl = np.full(length, np.nan)
    kl[where] = _divergence(drawn, plain.at(request, tokens, where))
    yield Comparison(tokens, kl)


@dataclasses.dataclass(frozen=True)
class _Plain:
  """Distributions without any cache.

  Attributes:
    policy: without an actor.
    params: see `Policy`.
    sampling: temperature, top-p, and how many rows are read at a time.
    width: tokens of the longest sequence.
  """

  policy: policy_lib.Policy
  params: PyTree
  sampling: requests_lib.Sampling
  width: int

  def at(
    self,
    request: requests_lib.Request,
    tokens: Sequence[int],
    where: np.ndarray,
  ) -> np.ndarray:
    """Log-probabilities [N, V] of the answer's tokens at `where` [N]."""
    policy, sequence = self.policy, [*request.prompt, *map(int, tokens)]
    logits = self._forward(policy.reference, "reference", [sequence])[0]
    logits = logits[len(request.prompt) - 1 + where]
    candidates = np.zeros((len(where), 1), np.int32)
    values = None
    if policy.value is not None and np.isfinite(request.eta):
      candidates = np.argsort(-logits, axis=1, kind="stable")
      candidates = candidates[:, : policy.most_candidates].astype(np.int32)
      values = self._values(
        [
          [*sequence[: len(request.prompt) + t], int(token)]
          for t, row in zip(where, candidates, strict=True)
          for token in row
        ]
      ).reshape(*candidates.shape, -1)
    # Few shapes, so that few programs are compiled.
    rows = np.arange(-(-len(where) // _ROWS) * _ROWS).clip(max=len(where) - 1)

    def take(x):
      return None if x is None else x[rows]

    found = _distribution(
      policy,
      *map(take, (logits, candidates, values)),
      self._controls(request, rows),
    )
    return processes.fetch(found)[: len(where)]

  def _controls(
    self, request: requests_lib.Request, rows: np.ndarray
  ) -> policy_lib.Controls:
    repeated = dataclasses.replace(request, seeds=request.seeds * len(rows))
    return reading.make_controls([repeated], len(rows), 0, self.sampling)

  def _values(self, leaves: Sequence[Sequence[int]]) -> np.ndarray:
    """Value logits at the last token of each sequence. Shape [N, K]."""
    found = []
    for start in range(0, len(leaves), _LEAVES):
      batch = leaves[start : start + _LEAVES]
      padding = [batch[0]] * (_LEAVES - len(batch))
      values = self._forward(self.policy.value, "value", [*batch, *padding])
      found += [values[i, len(leaf) - 1] for i, leaf in enumerate(batch)]
    return np.stack(found)

  def _forward(
    self, model: nn.Module, name: str, sequences: Sequence[Sequence[int]]
  ) -> np.ndarray:
    """What a model says after every token of whole sequences."""
    width = -(-self.width // _ROWS) * _ROWS
    # As many rows as devices can share; those beyond the sequences are empty.
    size = self.sampling.batch_size
    num_rows = -(-len(sequences) // size) * size
    tokens = np.zeros((num_rows, width), np.int32)
    positions = np.full_like(tokens, -1)
    for i, sequence in enumerate(sequences):
      tokens[i, : len(sequence)] = sequence
      positions[i, : len(sequence)] = np.arange(len(sequence))
    found = _apply(model, self.params[name], tokens, positions)
    return processes.fetch(found[0] if isinstance(found, tuple) else found)


@functools.partial(jax.jit, static_argnames="policy", donate_argnames="state")
def _turn(
  policy: policy_lib.Policy, params: PyTree, state: state_lib.DecodeState
) -> tuple[state_lib.DecodeState, next_token.NextDistribution | None]:
  return turn_lib.turn(policy, params, state)


@functools.partial(jax.jit, static_argnames="model")
def _apply(
  model: nn.Module, params: PyTree, tokens: Array, positions: Array
) -> PyTree:
  return model.apply(params, tokens, positions)


@functools.partial(jax.jit, static_argnames="policy")
def _distribution(
  policy: policy_lib.Policy,
  logits: Array,
  candidates: Array,
  values: Array | None,
  controls: policy_lib.Controls,
) -> Array:
  """Log-probabilities [N, V] of what the policy makes of logits and values."""
  scores = jnp.zeros(candidates.shape)
  other = jnp.zeros(len(logits))
  if values is not None:
    eta = controls.eta[:, None]
    scores = policy.guidance.scores(values, eta)
    other = scoring.other_scores(policy, scores, eta)
  return next_token.distribution_of(
    policy, controls, {"reference": logits}, candidates, scores, other
  ).sampled


def _divergence(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """KL of rows of log-probabilities [N, V], in float64."""
  one, other = np.float64(one), np.float64(other)
  there = np.isfinite(one)
  gap = np.where(there, np.where(there, one, 0) - other, 0)
  masses = np.where(there, np.exp(one), 0)
  # What rounding leaves of a sum of 1 counts on neither side.
  own, others = masses.sum(1), np.exp(other).sum(1)
  return (masses * gap).sum(1) / own - np.log(own / others)
