"""Beam search by likelihood, in one compiled loop."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import next_token, reading
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate import turn as turn_lib
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.ops import filtering
from qsharp_jax.sharding import processes


def generate(
  policy: policy_lib.Policy,
  params: PyTree,
  requests: Sequence[requests_lib.Request],
  sampling: requests_lib.Sampling,
  *,
  num_beams: int,
  place: Callable[[PyTree], PyTree] = jax.device_put,
) -> Iterator[list[requests_lib.Completion]]:
  """The most likely completions that a beam finds, the best one first.

  Nothing is drawn, so the KL of a completion to the reference is its negative
  log-likelihood under it, at the sampling temperature as in every other row of
  a report. No length is preferred: scores are sums.

  Args:
    policy: the model as `actor`, or the reference in its place; no values.
    params: see `Policy`.
    requests: with at most `num_beams` seeds, which only say how many
      completions are wanted.
    sampling: limits and batch size, and the reference's temperature; top-p is
      not used.
    num_beams: W, prefixes kept.
    place: puts arrays with a leading batch dimension on the devices.

  Yields:
    The completions of the next request.

  Raises:
    InputError: as `batching.generate`, or too few beams.

  Source: arXiv 2404.12358, section 5 (likelihood search on a DPO policy).
  """
  requests_lib.check(policy, requests, sampling)
  if requests and num_beams < len(requests[0].seeds):
    raise InputError(
      f"num_beams is {num_beams}; expected at least the "
      f"{len(requests[0].seeds)} completions that are wanted of each prompt"
    )
  size = sampling.batch_size
  for start in range(0, len(requests), size):
    batch = requests[start : start + size]
    beams = [
      dataclasses.replace(r, seeds=[0] * num_beams, guided_steps=None)
      for r in batch
    ]
    reader = reading.Reader(policy, params, beams, sampling, place)
    room = reader.width - 1 + sampling.max_new_tokens
    state = reader.read(range(len(batch)), size, room)
    state = processes.fetch(
      _search(policy, params, state, num_beams).replace(caches=None)
    )
    own = sum(map(len, policy.decoders.values()))
    for i, request in enumerate(batch):
      rows = range(i * num_beams, (i + 1) * num_beams)
      steps = state.lengths[rows.start : rows.stop]
      completions = [requests_lib.completion(state, row, own) for row in rows]
      yield [
        # Every beam was needed to find the best.
        dataclasses.replace(c, num_forwards=own * int(num_beams + steps.sum()))
        for c in completions[: len(request.seeds)]
      ]


@functools.partial(
  jax.jit, static_argnames=("policy", "num_beams"), donate_argnames="state"
)
def _search(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  num_beams: int,
) -> state_lib.DecodeState:
  """Extends all beams until every one has finished; the best come first."""
  # All beams of a prompt are equal at first: one of them counts.
  scores = jnp.where(jnp.arange(num_beams) == 0, 0.0, -jnp.inf)
  scores = jnp.tile(scores, len(state.newest) // num_beams)
  step = functools.partial(_step, policy, params, num_beams)

  def going(carried):
    return ~carried[0].finished.all()

  state, _ = jax.lax.while_loop(going, step, (state, scores))
  return state


def _step(
  policy: policy_lib.Policy,
  params: PyTree,
  num_beams: int,
  carried: tuple[state_lib.DecodeState, Array],
) -> tuple[state_lib.DecodeState, Array]:
  """Extends every beam by every token, and keeps the best of each prompt."""
  state, scores = carried
  logits, state = turn_lib.read(policy, params, state)
  reference = jax.nn.log_softmax(
    filtering.apply_temperature(logits["reference"], state.controls.temperature)
  )
  own = jax.nn.log_softmax(logits.get("actor", logits["reference"]))
  vocab_size = own.shape[-1]
  # A finished beam stays as it is: one continuation, which costs nothing.
  stay = jnp.where(jnp.arange(vocab_size) == 0, 0.0, -jnp.inf)
  totals = scores[:, None] + jnp.where(state.finished[:, None], stay, own)
  scores, found = jax.lax.top_k(
    totals.reshape(-1, num_beams * vocab_size), num_beams
  )
  first = jnp.arange(0, len(totals), num_beams)[:, None]
  parents = (first + found // vocab_size).reshape(-1)
  tokens = (found % vocab_size).reshape(-1)

  def take(x):
    return x[parents]

  caches = cache_lib.each(
    lambda cache: cache_lib.map_rows(cache, take), state.caches
  )
  state = jax.tree.map(take, state.replace(caches=None))
  reference = take(reference)
  surprise = -jnp.take_along_axis(reference, tokens[:, None], axis=1)[:, 0]
  distribution = next_token.NextDistribution(
    take(own), reference, surprise, surprise
  )
  state = turn_lib.record(
    policy, state.replace(caches=caches), distribution.at(tokens)
  )
  return state, scores.reshape(-1)
