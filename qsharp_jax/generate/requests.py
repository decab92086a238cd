"""What is asked of the decode loop, and what comes back from it."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from qsharp_jax.core import errors
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import state as state_lib

NEVER = np.iinfo(np.int32).max  # a switch that never comes


@dataclasses.dataclass(frozen=True)
class Request:
  """One prompt and the samples wanted of it."""

  prompt: Sequence[int]
  seeds: Sequence[int]  # one per sample, 32 bits each
  eta: float = float("inf")
  guided_steps: Sequence[int] | None = None  # one per sample; None: all steps
  # None: those of `Sampling`, which it cannot exceed. 0: nothing is sampled.
  max_new_tokens: int | None = None
  id: str = ""  # of the question
  # Last tokens of the prompt that are of the answer: a stop string may begin
  # among them.
  num_written: int = 0
  # Of the rewards of a mixture whose rows have weights of their own.
  weights: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Completion:
  """One sample. Arrays have its own length, what ended it included."""

  tokens: np.ndarray  # int32
  log_probs: np.ndarray  # of the distribution sampled from
  ref_log_probs: np.ndarray  # of the reference at temperature
  kl: np.ndarray  # nats a token, before top-p
  kl_filtered: np.ndarray  # nats a token, after top-p
  ended: bool  # by an end token or a stop string, not by the limit
  # Passes of any model over one row: over its prompt, or over one new token
  # together with candidates, or over more candidates. A search adds one for
  # every reading of an answer, whole or not, by a reward.
  num_forwards: int
  num_scored: int = 0  # candidates whose values decided


# Samples of each request, in the order of the requests: guided decoding, or a
# search that is made of it.
Complete = Callable[[Sequence[Request]], Iterator[list[Completion]]]

# Answers, whole or so far: requests and the tokens after their prompts.
Ends = Sequence[tuple[Request, list[int]]]


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


@dataclasses.dataclass(frozen=True)
class Reader:
  """Turns requests into rows that have read their prompts."""

  policy: policy_lib.Policy
  params: PyTree
  requests: Sequence[Request]
  sampling: Sampling
  place: Callable[[PyTree], PyTree]

  @property
  def num_samples(self) -> int:
    """Samples of each request."""
    return len(self.requests[0].seeds)

  @property
  def width(self) -> int:
    """Tokens of the longest prompt, rounded up to a bucket."""
    bucket = self.sampling.prompt_bucket
    return _round_up(max(len(r.prompt) for r in self.requests), bucket)

  def read(
    self, entering: Sequence[int], num_prompts: int, num_slots: int = 0
  ) -> state_lib.DecodeState:
    """Prefills some requests, and padding up to `num_prompts`."""
    batch = [self.requests[i] for i in entering]
    num_padding = num_prompts - len(batch)
    prompts = [r.prompt for r in batch] + [batch[0].prompt] * num_padding
    tokens, positions = right_align(prompts, bucket=self.sampling.prompt_bucket)
    controls = make_controls(
      batch, self.num_samples, num_padding, self.sampling
    )
    state = state_lib.prefill(
      self.policy,
      self.params,
      *self.place((tokens, positions, controls)),
      num_slots=max(num_slots, tokens.shape[1] - 1),
      num_new_tokens=self.sampling.max_new_tokens,
    )
    if not any(request.num_written for request in batch):
      return state
    return self._written(state, batch)

  def _written(
    self, state: state_lib.DecodeState, batch: Sequence[Request]
  ) -> state_lib.DecodeState:
    """The state after the tokens of answers that prompts end with."""
    stops = self.policy.stops
    if stops is None:
      return state
    found = np.zeros(len(state.finished), np.int32)
    for i, request in enumerate(batch):
      own = request.prompt[len(request.prompt) - request.num_written :]
      found[i * self.num_samples :][: self.num_samples] = stops.after(own)
    return state.replace(stop=self.place((found,))[0])


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


def check(
  policy: policy_lib.Policy, requests: Sequence[Request], sampling: Sampling
) -> None:
  """Refuses requests that cannot be met.

  Raises:
    InputError: an empty prompt, one that leaves no room in the context or has
      a token that a model does not know, an eta that is not positive, or more
      prompts a refill than in the batch.
  """
  if not 0 < sampling.prompts_per_refill <= sampling.batch_size:
    raise InputError(
      f"prompts_per_refill is {sampling.prompts_per_refill}; expected 1 to the "
      f"batch size, {sampling.batch_size}"
    )
  decoders = list(itertools.chain(*policy.decoders.values()))
  context = min(config.max_length for config in decoders)
  num_rows = min(config.vocab_size for config in decoders)
  for i, request in enumerate(requests):
    name = f"question {request.id}" if request.id else f"request {i}"
    check_length(
      name,
      len(request.prompt),
      max_new_tokens=_limit(request, sampling),
      limits={"the models' context": context},
    )
    _check_ids(name, request.prompt, num_rows)
    if not request.eta > 0:
      raise InputError(
        f"eta of {name} is {request.eta}; expected > 0 (the KL weight, in "
        "reward units; inf for no guidance)"
      )


def _limit(request: Request, sampling: Sampling) -> int:
  """Tokens that a completion may have."""
  if request.max_new_tokens is None:
    return sampling.max_new_tokens
  return min(request.max_new_tokens, sampling.max_new_tokens)


def _check_ids(name: str, prompt: Sequence[int], num_rows: int) -> None:
  """Makes sure that every model has a row for every token.

  A table is read beyond its end without complaint, at its last row.
  """
  ids = np.asarray(prompt)
  if ids.ndim != 1 or ids.dtype.kind not in "iu":
    raise InputError(
      f"the prompt of {name} is {errors.short(prompt)}; expected a list of "
      "token ids"
    )
  wrong = ids[(ids < 0) | (ids >= num_rows)]
  if wrong.size:
    raise InputError(
      f"the prompt of {name} has the token id {wrong[0]}; expected 0 to "
      f"{num_rows - 1}, the rows of the models' embeddings: use the tokenizer "
      "that belongs to the models"
    )


def check_length(
  name: str, length: int, *, max_new_tokens: int, limits: Mapping[str, int]
) -> None:
  """Makes sure that a prompt with its longest completion fits.

  Args:
    name: whose prompt it is.
    length: of the prompt, in tokens.
    max_new_tokens: of the longest completion.
    limits: tokens of what it must fit, by name.

  Raises:
    InputError: names the prompt, its length and what it exceeds.
  """
  for limited, limit in limits.items():
    most = limit - max_new_tokens
    if not 0 < length <= most:
      raise InputError(
        f"the prompt of {name} has {length} tokens; expected 1 to {most}, so "
        f"that it fits {limited} of {limit} with max_new_tokens "
        f"{max_new_tokens}: shorten or drop the question, or lower "
        "max_new_tokens"
      )


def completion(
  state: state_lib.DecodeState,
  row: int,
  num_models: int,
  *,
  extra_forwards: int = 0,
) -> Completion:
  """A copy of a row, cut to its own length; its caches are not looked at.

  What was not computed is NaN: the KL of a token that was drawn without the
  values of all its candidates, and its log-probability.

  Args:
    state: on the host.
    row: which one.
    num_models: how many models read every token.
    extra_forwards: passes beyond those.
  """
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
    num_models * (1 + int(state.turns[row])) + int(extra_forwards),
    int(state.scored[row]),
  )


def _round_up(length: int, bucket: int) -> int:
  # At least two: the last token is left to the decode loop, and what is read
  # before it cannot be empty.
  return -(-max(2, length) // bucket) * bucket


def make_controls(
  batch: Sequence[Request],
  num_samples: int,
  num_padding: int,
  sampling: Sampling,
) -> policy_lib.Controls:
  """Per-row controls; padding rows may write no token."""

  def own(value):
    return [value] * num_samples

  def padded(rows, fill, dtype):
    return np.pad(
      np.array(rows, dtype).reshape(-1),
      (0, num_padding * num_samples),
      constant_values=fill,
    )

  def column(value, fill, dtype):
    return padded([own(value)] * len(batch), fill, dtype)

  switches = [
    own(NEVER) if r.guided_steps is None else r.guided_steps for r in batch
  ]
  limits = [own(_limit(r, sampling)) for r in batch]
  return policy_lib.Controls(
    seeds=padded([r.seeds for r in batch], 0, np.uint32),
    eta=padded([own(r.eta) for r in batch], np.inf, np.float32),
    guided_steps=padded(switches, 0, np.int32),
    max_new_tokens=padded(limits, 0, np.int32),
    temperature=column(sampling.temperature, 1, np.float32),
    top_p=column(sampling.top_p, 1, np.float32),
    weights=_weights(batch, num_samples, num_padding),
  )


def _weights(
  batch: Sequence[Request], num_samples: int, num_padding: int
) -> np.ndarray | None:
  """Weights of rewards of every row, [R, M]; None where there are none."""
  if batch[0].weights is None:
    return None
  own = [r.weights for r in batch] + [batch[0].weights] * num_padding
  return np.repeat(np.array(own, np.float32), num_samples, axis=0)
