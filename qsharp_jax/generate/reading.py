"""From requests to rows of a batch that have read their prompts."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate.requests import Request, Sampling


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
    own(requests_lib.NEVER) if r.guided_steps is None else r.guided_steps
    for r in batch
  ]
  limits = [own(requests_lib.limit(r, sampling)) for r in batch]
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
