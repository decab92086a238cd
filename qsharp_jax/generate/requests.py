"""What is asked of the decode loop, and what comes back from it."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from qsharp_jax.core import errors
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
      max_new_tokens=limit(request, sampling),
      limits={"the models' context": context},
    )
    _check_ids(name, request.prompt, num_rows)
    if not request.eta > 0:
      raise InputError(
        f"eta of {name} is {request.eta}; expected > 0 (the KL weight, in "
        "reward units; inf for no guidance)"
      )


def limit(request: Request, sampling: Sampling) -> int:
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
