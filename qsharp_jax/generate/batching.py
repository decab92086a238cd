"""Continuous batching: prompts enter rows as completions leave them."""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import decode as decode_lib
from qsharp_jax.generate import policy as policy_lib

NEVER = np.iinfo(np.int32).max  # a switch that never comes
_FIRST_ROOM = 64  # new tokens that the first caches have room for


@dataclasses.dataclass(frozen=True)
class Request:
  """One prompt and the samples wanted of it."""

  prompt: Sequence[int]
  seeds: Sequence[int]  # one per sample, 32 bits each
  eta: float = float("inf")
  guided_steps: Sequence[int] | None = None  # one per sample; None: all steps
  max_new_tokens: int | None = None  # None, or fewer than those of `Sampling`


@dataclasses.dataclass(frozen=True)
class Completion:
  """One sample. Arrays have its own length, the end token included."""

  tokens: np.ndarray  # int32
  log_probs: np.ndarray  # of the law sampled from
  ref_log_probs: np.ndarray  # of the reference at temperature
  kl: np.ndarray  # nats a token, before top-p
  kl_filtered: np.ndarray  # nats a token, after top-p
  ended: bool  # by an end token, not by the limit
  # Passes of any model over one row: over its prompt, or over one new token
  # together with its candidates.
  num_forwards: int


@dataclasses.dataclass(frozen=True)
class Sampling:
  """How to sample, and in which sizes; the last four shape the programs."""

  temperature: float = 1.0
  top_p: float = 1.0
  max_new_tokens: int = 1024
  batch_size: int = 32  # prompts decoded at the same time
  # Prompts that enter together once as many have left: few keep all rows busy,
  # many share a reading of the weights; batch_size is batch after batch.
  prompts_per_refill: int = 1
  prompt_bucket: int = 64  # prompt lengths are rounded up to multiples


def generate(
  policy: policy_lib.Policy,
  params: PyTree,
  requests: Sequence[Request],
  sampling: Sampling,
  *,
  place: Callable[[PyTree], PyTree] = jax.device_put,
) -> Iterator[list[Completion]]:
  """Samples completions, one list per request, in the order of the requests.

  A completion depends on its own prompt, seed and eta alone, not on its row or
  its neighbours: whoever waits takes the rows of completions that have ended.

  Args:
    policy: models and guidance.
    params: see `Policy`.
    requests: all with the same number of samples.
    sampling: temperature, top-p, limits and batch sizes.
    place: puts arrays with a leading batch dimension on the devices.

  Yields:
    The completions of the next request.

  Raises:
    InputError: an empty prompt, one that leaves no room in the context, an eta
      that is not positive, or more prompts a refill than in the batch.
  """
  _check(policy, requests, sampling)
  if not requests:
    return
  reader = _Reader(policy, params, requests, sampling, place)
  waiting = collections.deque(range(len(requests)))
  entering = _take(waiting, sampling.batch_size)
  room = min(_FIRST_ROOM, sampling.max_new_tokens)
  state = reader.read(entering, sampling.batch_size, reader.width - 1 + room)
  num_models = sum(map(len, policy.decoders.values()))
  rows = _Rows(sampling.batch_size, reader.num_samples, num_models)
  rows.enter(entering, rows.free())
  per_refill = sampling.prompts_per_refill * reader.num_samples
  next_request = 0
  while next_request < len(requests):
    wanted = per_refill if waiting else len(rows.owners)
    state = decode_lib.decode(policy, params, state, np.int32(wanted))
    if rows.leave(state) < wanted:  # it stopped for want of room
      room = min(2 * room, sampling.max_new_tokens)
      state = decode_lib.grow(state, reader.width - 1 + room)
    while waiting and len(rows.free()) >= per_refill:
      entering = _take(waiting, sampling.prompts_per_refill)
      newcomers = reader.read(entering, sampling.prompts_per_refill)
      where = rows.enter(entering, rows.free()[:per_refill])
      state = decode_lib.admit(state, newcomers, where)
    while rows.is_complete(next_request):
      yield rows.pop(next_request)
      next_request += 1


def right_align(
  prompts: Sequence[Sequence[int]], *, bucket: int
) -> tuple[np.ndarray, np.ndarray]:
  """Prompts in one block that ends where they end.

  Args:
    prompts: token ids, at least one each.
    bucket: the width is rounded up to a multiple of it.

  Returns:
    Tokens [B, P] and positions [B, P] (-1 for padding), int32.
  """
  width = _round_up(max(map(len, prompts)), bucket)
  tokens = np.zeros((len(prompts), width), np.int32)
  for row, prompt in zip(tokens, prompts, strict=True):
    row[width - len(prompt) :] = prompt
  lengths = np.array([[len(prompt)] for prompt in prompts])
  positions = np.arange(width) - (width - lengths)
  return tokens, np.maximum(positions, -1).astype(np.int32)


def _check(
  policy: policy_lib.Policy, requests: Sequence[Request], sampling: Sampling
) -> None:
  if not 0 < sampling.prompts_per_refill <= sampling.batch_size:
    raise InputError(
      f"prompts_per_refill is {sampling.prompts_per_refill}; expected 1 to the "
      f"batch size, {sampling.batch_size}"
    )
  decoders = itertools.chain(*policy.decoders.values())
  context = min(config.max_length for config in decoders)
  for i, request in enumerate(requests):
    length = len(request.prompt)
    if not length or length + sampling.max_new_tokens > context:
      raise InputError(
        f"prompt {i} has {length} tokens; expected 1 to "
        f"{context - sampling.max_new_tokens}, so that it fits the context of "
        f"{context} with max_new_tokens {sampling.max_new_tokens}; shorten the "
        "prompt or lower max_new_tokens"
      )
    if not request.eta > 0:
      raise InputError(
        f"eta of prompt {i} is {request.eta}; expected > 0 (the KL weight, in "
        "reward units; inf for no guidance)"
      )


@dataclasses.dataclass(frozen=True)
class _Reader:
  """Turns requests into rows that have read their prompts."""

  policy: policy_lib.Policy
  params: PyTree
  requests: Sequence[Request]
  sampling: Sampling
  place: Callable[[PyTree], PyTree]

  @property
  def num_samples(self) -> int:
    return len(self.requests[0].seeds)

  @property
  def width(self) -> int:
    """Tokens of the longest prompt, rounded up to a bucket."""
    bucket = self.sampling.prompt_bucket
    return _round_up(max(len(r.prompt) for r in self.requests), bucket)

  def read(
    self, entering: Sequence[int], num_prompts: int, num_slots: int = 0
  ) -> decode_lib.DecodeState:
    """Prefills some requests, and padding up to `num_prompts`."""
    batch = [self.requests[i] for i in entering]
    num_padding = num_prompts - len(batch)
    prompts = [r.prompt for r in batch] + [batch[0].prompt] * num_padding
    tokens, positions = right_align(prompts, bucket=self.sampling.prompt_bucket)
    controls = _controls(batch, self.num_samples, num_padding, self.sampling)
    return decode_lib.prefill(
      self.policy,
      self.params,
      *self.place((tokens, positions, controls)),
      num_slots=max(num_slots, tokens.shape[1] - 1),
      num_new_tokens=self.sampling.max_new_tokens,
    )


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

  def leave(self, state: decode_lib.DecodeState) -> int:
    """Takes the completions of finished rows; returns how many have finished.

    Rows of padding count as finished.
    """
    # The caches stay on the devices; the rest is small.
    state = jax.device_get(state.replace(caches=None))
    for row in np.flatnonzero(state.finished):
      if self.owners[row] is not None:
        request, sample = self.owners[row]
        self._found[request][sample] = completion(state, row, self._num_models)
        self.owners[row] = None
    return int(state.finished.sum())

  def is_complete(self, request: int) -> bool:
    """Whether all samples of a request have left."""
    return len(self._found[request]) == self._num_samples

  def pop(self, request: int) -> list[Completion]:
    """The samples of a request, in order."""
    found = self._found.pop(request)
    return [found[i] for i in range(self._num_samples)]


def _take(waiting: collections.deque[int], most: int) -> list[int]:
  return [waiting.popleft() for _ in range(min(most, len(waiting)))]


def _round_up(length: int, bucket: int) -> int:
  # At least two: the last token is left to the decode loop, and what is read
  # before it cannot be empty.
  return -(-max(2, length) // bucket) * bucket


def _controls(
  batch: Sequence[Request],
  num_samples: int,
  num_padding: int,
  sampling: Sampling,
) -> policy_lib.Controls:
  """Per-row controls; padding rows may write no token."""
  own = lambda value: [value] * num_samples
  padded = lambda rows, fill, dtype: np.pad(
    np.array(rows, dtype).reshape(-1),
    (0, num_padding * num_samples),
    constant_values=fill,
  )
  column = lambda value, fill, dtype: padded(
    [own(value)] * len(batch), fill, dtype
  )
  switches = [
    own(NEVER) if r.guided_steps is None else r.guided_steps for r in batch
  ]
  most = sampling.max_new_tokens
  limits = [own(min(most, r.max_new_tokens or most)) for r in batch]
  return policy_lib.Controls(
    seeds=padded([r.seeds for r in batch], 0, np.uint32),
    eta=padded([own(r.eta) for r in batch], np.inf, np.float32),
    guided_steps=padded(switches, 0, np.int32),
    max_new_tokens=padded(limits, 0, np.int32),
    temperature=column(sampling.temperature, 1, np.float32),
    top_p=column(sampling.top_p, 1, np.float32),
  )


def completion(
  state: decode_lib.DecodeState, row: int, num_models: int
) -> Completion:
  """A copy of a row, cut to its own length."""
  length = state.lengths[row]
  tables = (
    state.tokens,
    state.log_probs,
    state.ref_log_probs,
    state.kl,
    state.kl_filtered,
  )
  return Completion(
    *(table[row, :length].copy() for table in tables),
    bool(state.ended[row]),
    num_models * (1 + int(length)),
  )
