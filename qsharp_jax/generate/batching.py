"""Continuous batching: prompts enter rows as completions leave them."""

import collections
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import decode as decode_lib
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import reading
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.sharding import processes

# (policy, params, state, how many rows to finish) -> the state then.
Advance = Callable[
  [policy_lib.Policy, PyTree, state_lib.DecodeState, np.int32],
  state_lib.DecodeState,
]

_FIRST_ROOM = 64  # new tokens that the first caches have room for


def generate(
  policy: policy_lib.Policy,
  params: PyTree,
  requests: Sequence[requests_lib.Request],
  sampling: requests_lib.Sampling,
  *,
  place: Callable[[PyTree], PyTree] = jax.device_put,
  advance: Advance | None = None,
) -> Iterator[list[requests_lib.Completion]]:
  """Samples completions, one list per request, in the order of the requests.

  A completion depends on its own prompt, seed and eta alone, not on its row or
  its neighbours: whoever waits takes the rows of completions that have ended.

  Args:
    policy: models and guidance.
    params: see `Policy`.
    requests: all with the same number of samples.
    sampling: temperature, top-p, limits and batch sizes.
    place: puts arrays with a leading batch dimension on the devices.
    advance: a loop that looks at what it draws from; None: the usual one.

  Yields:
    The completions of the next request.

  Raises:
    InputError: an empty prompt, one that leaves no room in the context, an eta
      that is not positive, or more prompts a refill than in the batch.
  """
  requests_lib.check(policy, requests, sampling)
  if not requests:
    return
  advance = advance or decode_lib.decode
  policy = policy.at(sampling.top_p)
  reader = reading.Reader(policy, params, requests, sampling, place)
  waiting = collections.deque(range(len(requests)))
  entering = _take(waiting, sampling.batch_size)
  most = sampling.max_new_tokens + policy.num_spare(sampling.max_new_tokens)
  room = min(_FIRST_ROOM, most)
  # A slot more than is needed: where their number is odd, the TPU compiler
  # turns the caches around in memory, as copies, whenever the loop is entered.
  state = reader.read(entering, sampling.batch_size, reader.width + room)
  num_models = sum(map(len, policy.decoders.values()))
  rows = _Rows(sampling.batch_size, reader.num_samples, num_models)
  rows.enter(entering, rows.free())
  per_refill = sampling.prompts_per_refill * reader.num_samples
  next_request = 0
  while next_request < len(requests):
    wanted = per_refill if waiting else len(rows.owners)
    state = advance(policy, params, state, np.int32(wanted))
    if rows.leave(state) < wanted:  # it stopped for want of room
      room = min(2 * room, most)
      state = state_lib.grow(state, reader.width + room)
    while waiting and len(rows.free()) >= per_refill:
      entering = _take(waiting, sampling.prompts_per_refill)
      newcomers = reader.read(entering, sampling.prompts_per_refill)
      where = rows.enter(entering, rows.free()[:per_refill])
      state = state_lib.admit(state, newcomers, where)
    while rows.is_complete(next_request):
      yield rows.pop(next_request)
      next_request += 1


class _Rows:
  """Which sample lives in which row, and the samples that have left."""

  def __init__(self, num_prompts: int, num_samples: int, num_models: int):
    self.owners: list[tuple[int, int] | None]
    self.owners = [None] * (num_prompts * num_samples)
    self._num_samples = num_samples
    self._num_models = num_models
    self._found = collections.defaultdict(dict)  # request -> sample -> result

  def free(self) -> list[int]:
    """Rows without an owner."""
    return [row for row, owner in enumerate(self.owners) if owner is None]

  def enter(self, requests: Sequence[int], rows: Sequence[int]) -> np.ndarray:
    """Gives rows to all samples of the requests.

    Returns:
      The rows' numbers; one that does not exist for rows left over, which
      padding must not take.
    """
    samples = [(r, i) for r in requests for i in range(self._num_samples)]
    nowhere = len(self.owners)
    where = np.full(len(rows), nowhere, np.int32)
    where[: len(samples)] = rows[: len(samples)]
    for row, sample in zip(where, samples, strict=False):
      self.owners[row] = sample
    return where

  def leave(self, state: state_lib.DecodeState) -> int:
    """Takes the completions of finished rows; returns how many have finished.

    Rows of padding count as finished.
    """
    # The caches stay on the devices; the rest is small.
    state = processes.fetch(state.replace(caches=None))
    for row in np.flatnonzero(state.finished):
      if self.owners[row] is not None:
        request, sample = self.owners[row]
        self._found[request][sample] = requests_lib.completion(
          state, row, self._num_models
        )
        self.owners[row] = None
    return int(state.finished.sum())

  def is_complete(self, request: int) -> bool:
    """Whether all samples of a request have left."""
    return len(self._found[request]) == self._num_samples

  def pop(self, request: int) -> list[requests_lib.Completion]:
    """The samples of a request, in order."""
    found = self._found.pop(request)
    return [found[i] for i in range(self._num_samples)]


def _take(waiting: collections.deque[int], most: int) -> list[int]:
  return [waiting.popleft() for _ in range(min(most, len(waiting)))]
