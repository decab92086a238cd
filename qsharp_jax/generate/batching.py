"""From lists of prompts to device batches, and back to completions."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import decode as decode_lib
from qsharp_jax.generate import policy as policy_lib

NEVER = np.iinfo(np.int32).max  # a switch that never comes


@dataclasses.dataclass(frozen=True)
class Request:
  """One prompt and the samples wanted of it."""

  prompt: Sequence[int]
  seeds: Sequence[int]  # one per sample, 32 bits each
  eta: float = float("inf")
  guided_steps: Sequence[int] | None = None  # one per sample; None: all steps


@dataclasses.dataclass(frozen=True)
class Completion:
  """One sample. Arrays have its own length, the end token included."""

  tokens: np.ndarray  # int32
  log_probs: np.ndarray  # of the law sampled from
  ref_log_probs: np.ndarray  # of the reference at temperature
  kl: np.ndarray  # nats a token, before top-p
  kl_filtered: np.ndarray  # nats a token, after top-p
  ended: bool  # by an end token, not by the limit


@dataclasses.dataclass(frozen=True)
class Sampling:
  """How to sample, and in which sizes; the last three shape the programs."""

  temperature: float = 1.0
  top_p: float = 1.0
  max_new_tokens: int = 1024
  batch_size: int = 32  # prompts a batch
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

  A completion depends on its own prompt, seed and eta alone: the batch is
  padded with rows that never start, and nothing is shared between rows.

  Args:
    policy: models and guidance.
    params: {"reference": …, "value": …}.
    requests: all with the same number of samples.
    sampling: temperature, top-p, limits and batch sizes.
    place: puts arrays with a leading batch dimension on the devices.

  Yields:
    The completions of the next request.

  Raises:
    InputError: an empty prompt, one that leaves no room in the context, or an
      eta that is not positive.
  """
  _check(policy, requests, sampling)
  for start in range(0, len(requests), sampling.batch_size):
    batch = requests[start : start + sampling.batch_size]
    state = _run(policy, params, batch, sampling, place)
    rows = _completions(jax.device_get(state))
    num_samples = len(batch[0].seeds)
    for i in range(len(batch)):
      yield rows[i * num_samples : (i + 1) * num_samples]


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
  # At least two: the last token is left to the decode loop, and what is read
  # before it cannot be empty.
  width = -(-max(2, *map(len, prompts)) // bucket) * bucket
  tokens = np.zeros((len(prompts), width), np.int32)
  for row, prompt in zip(tokens, prompts, strict=True):
    row[width - len(prompt) :] = prompt
  lengths = np.array([[len(prompt)] for prompt in prompts])
  positions = np.arange(width) - (width - lengths)
  return tokens, np.maximum(positions, -1).astype(np.int32)


def _check(
  policy: policy_lib.Policy, requests: Sequence[Request], sampling: Sampling
) -> None:
  decoders = [policy.reference] + [policy.value] * (policy.value is not None)
  context = min(model.config.max_length for model in decoders)
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


def _run(
  policy: policy_lib.Policy,
  params: PyTree,
  batch: Sequence[Request],
  sampling: Sampling,
  place: Callable[[PyTree], PyTree],
) -> decode_lib.DecodeState:
  """One device batch, padded to the full batch size."""
  num_samples = len(batch[0].seeds)
  num_padding = sampling.batch_size - len(batch)
  prompts = [r.prompt for r in batch] + [batch[0].prompt] * num_padding
  tokens, positions = right_align(prompts, bucket=sampling.prompt_bucket)
  state = decode_lib.prefill(
    policy,
    params,
    *place((tokens, positions)),
    num_samples=num_samples,
    num_new_tokens=sampling.max_new_tokens,
  )
  controls = _controls(batch, num_samples, num_padding, sampling)
  state = decode_lib.decode(policy, params, state, place(controls))
  # The caches stay on the devices, to be freed; the rest is small.
  return state.replace(ref_cache=None, value_cache=None)


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
  return policy_lib.Controls(
    seeds=padded([r.seeds for r in batch], 0, np.uint32),
    eta=padded([own(r.eta) for r in batch], np.inf, np.float32),
    guided_steps=padded(switches, 0, np.int32),
    max_new_tokens=column(sampling.max_new_tokens, 0, np.int32),
    temperature=column(sampling.temperature, 1, np.float32),
    top_p=column(sampling.top_p, 1, np.float32),
  )


def _completions(state: decode_lib.DecodeState) -> list[Completion]:
  """Host copies of all rows, each cut to its own length."""
  tables = (
    state.tokens,
    state.log_probs,
    state.ref_log_probs,
    state.kl,
    state.kl_filtered,
  )
  return [
    Completion(*(table[i, :n].copy() for table in tables), bool(state.ended[i]))
    for i, n in enumerate(state.lengths)
  ]
