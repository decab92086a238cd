"""What guided decoding says of every token of answers that are given.

The decode loop follows an answer instead of drawing one: the same models,
caches and distributions, with the token written that comes next in the answer.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import next_token, reading, scoring
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate import turn as turn_lib
from qsharp_jax.sharding import processes

_BUCKET = 64


@struct.dataclass
class Followed:
  """Every token of one answer, T, beside its alternatives, A.

  The first of the A + 1 tokens is the answer's own, the others are the
  reference's candidates, the most likely first; the own token may be among
  them once more.
  """

  tokens: Array  # [T, A + 1] int32
  values: Array  # [T, A + 1, K] value logits
  reference: Array  # [T, A + 1] log-probabilities
  guided: Array  # [T, A + 1] log-probabilities


def follow(
  policy: policy_lib.Policy,
  params: PyTree,
  requests: Sequence[requests_lib.Request],
  answers: Sequence[Sequence[int]],
  sampling: requests_lib.Sampling,
  *,
  place: Callable[[PyTree], PyTree] = jax.device_put,
) -> Iterator[Followed]:
  """Reads given answers with the eyes of the decode loop.

  Args:
    policy: models and guidance; it has a value.
    params: see `Policy`.
    requests: the prompt and eta of each answer, with one seed.
    answers: tokens of each, at least one.
    sampling: temperature and top-p; prompts that are read together.
    place: puts arrays with a leading batch dimension on the devices.

  Yields:
    What is said of the next answer, as numpy arrays.

  Raises:
    InputError: as `generate`.
  """
  longest = max(map(len, answers), default=0)
  own = dataclasses.replace(sampling, max_new_tokens=_room(longest, sampling))
  policy = dataclasses.replace(policy.at(own.top_p), num_scored=0)
  requests_lib.check(policy, requests, own)
  size = own.prompts_per_refill  # a number that the devices can share
  reader = reading.Reader(policy, params, requests, own, place)
  for start in range(0, len(requests), size):
    batch = list(range(start, min(start + size, len(requests))))
    given = np.zeros((size, longest), np.int32)
    for row, index in zip(given, batch, strict=False):
      row[: len(answers[index])] = answers[index]
    state = reader.read(batch, size, reader.width + own.max_new_tokens)
    turns = []
    for column in range(longest):
      tokens = place(np.ascontiguousarray(given[:, column]))
      state, turn = _turn(policy, params, state, tokens)
      turns.append(processes.fetch(turn))
    for row, index in enumerate(batch):
      own_turns = [
        jax.tree.map(lambda x, row=row: x[row], turn)
        for turn in turns[: len(answers[index])]
      ]
      yield jax.tree.map(lambda *x: np.stack(x), *own_turns)


def _room(longest: int, sampling: requests_lib.Sampling) -> int:
  """Tokens that an answer may have, so that few programs serve all lengths."""
  rounded = -(-longest // _BUCKET) * _BUCKET
  return max(longest, min(rounded, sampling.max_new_tokens))


@functools.partial(jax.jit, static_argnames="policy", donate_argnames="state")
def _turn(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  tokens: Array,
) -> tuple[state_lib.DecodeState, Followed]:
  """One turn of the loop, the next tokens [B] being given."""
  logits, state = turn_lib.read(policy, params, state)
  eta = state_lib.eta_of(state)
  proposed = logits.get("actor", logits["reference"])
  likely = scoring.most_likely(proposed, policy.most_candidates)
  leaves = jnp.concatenate([tokens[:, None], likely], axis=1)
  values, state = scoring.candidate_values(policy, params, state, leaves)
  scores = policy.guidance.scores(values[:, 1:], eta)
  other = scoring.other_scores(policy, scores, eta)
  distribution = next_token.distribution_of(
    policy, state.controls, logits, likely, scores, other
  )

  def at(table):
    return jnp.take_along_axis(table, leaves, axis=1)

  turn = Followed(
    leaves, values, at(distribution.reference), at(distribution.sampled)
  )
  return turn_lib.record(policy, state, distribution.at(tokens)), turn
