"""Transfer Q*: candidates are judged by roll-outs of an aligned baseline.

Roll-outs of no tokens are ARGS: the reward reads each prefix with its candidate
(arXiv 2402.01694).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import decode as decode_lib
from qsharp_jax.generate import next_token, reading, scoring
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate import turn as turn_lib
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.ops import guidance
from qsharp_jax.sharding import processes

# Sequences to their C rewards, [n, C]: a value model's, or read from the text.
Rewards = Callable[[requests_lib.Ends], np.ndarray]
# (rewards [B, A, N, C] of N roll-outs, eta [B, 1]) -> log-weights [B, A].
# Static: `direct`, or an `Indirect`.
Weigh = Callable[[Array, Array], Array]


def direct(rewards: Array, eta: Array) -> Array:
  """Log-weights from one reward, to which the baseline was aligned."""
  return guidance.transfer_direct(rewards[..., 0], eta=eta)


@dataclasses.dataclass(frozen=True)
class Indirect:
  """Log-weights from two rewards, the second that of the baseline.

  Attributes:
    beta: KL weight at which the baseline was aligned, in reward units.
  """

  beta: float

  def __call__(self, rewards: Array, eta: Array) -> Array:
    """Log-weights [B, A] from rewards [B, A, N, 2] and eta [B, 1]."""
    return guidance.transfer_indirect(
      rewards[..., 0], rewards[..., 1], eta=eta, beta=self.beta
    )


def generate(
  policy: policy_lib.Policy,
  params: PyTree,
  requests: Sequence[requests_lib.Request],
  sampling: requests_lib.Sampling,
  *,
  rewards: Rewards,
  weigh: Weigh,
  num_rollouts: int,
  horizon: int | None = None,
  place: Callable[[PyTree], PyTree] = jax.device_put,
) -> Iterator[list[requests_lib.Completion]]:
  """Samples completions, looking ahead from every candidate of every token.

  The roll-outs of all candidates of all rows are one batch of one program;
  the rewards are computed between two programs, on the host.

  Args:
    policy: the baseline as `actor`, or the reference in its place; no values.
    params: see `Policy`.
    requests: see `batching.generate`; in whole batches here.
    sampling: temperature, top-p, limits and batch size.
    rewards: of the sequences that the roll-outs end in.
    weigh: rewards of the roll-outs to log-weights of the candidates.
    num_rollouts: N, from each candidate.
    horizon: the most tokens of a roll-out; None: to the end of the answer.
    place: puts arrays with a leading batch dimension on the devices.

  Yields:
    The completions of the next request.

  Raises:
    InputError: as `batching.generate`.

  Source: arXiv 2405.20495.
  """
  requests_lib.check(policy, requests, sampling)
  size = sampling.batch_size
  for start in range(0, len(requests), size):
    batch = requests[start : start + size]
    reader = reading.Reader(policy, params, batch, sampling, place)
    room = reader.width - 1 + sampling.max_new_tokens
    state = reader.read(range(len(batch)), size, room)
    owners = [r for r in batch for _ in range(reader.num_samples)]
    spent = np.zeros(len(state.finished), np.int64)
    while not (finished := processes.fetch(state.finished)).all():
      logits, state = _read(policy, params, state)
      candidates, ends = _look_ahead(
        policy, params, state, logits, num_rollouts, horizon
      )
      found = processes.fetch((state.tokens, state.lengths, candidates, ends))
      scores, passes = _judge(owners, ~finished, *found, rewards)
      # A reward made of text may time out in one process and not in another.
      scores = np.array(
        processes.agree("rewards of roll-outs", scores.tolist()), np.float32
      )
      spent += passes
      state = _choose(
        policy, state, logits, candidates, *place((scores,)), weigh
      )
    state = processes.fetch(state.replace(caches=None))
    rows = iter(range(len(owners)))
    own = sum(map(len, policy.decoders.values()))
    for _ in batch:
      yield [
        requests_lib.completion(state, row, own, extra_forwards=spent[row])
        for row in (next(rows) for _ in range(reader.num_samples))
      ]


_read = jax.jit(
  turn_lib.read, static_argnames="policy", donate_argnames="state"
)


@functools.partial(
  jax.jit, static_argnames=("policy", "num_rollouts", "horizon")
)
def _look_ahead(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  logits: dict[str, Array],
  num_rollouts: int,
  horizon: int | None,
) -> tuple[Array, state_lib.DecodeState]:
  """Candidates [B, A], and the ends of B x A x N roll-outs of the baseline."""
  name = "actor" if policy.actor is not None else "reference"
  baseline = policy_lib.Policy(
    getattr(policy, name), policy.eos_ids, stops=policy.stops
  )
  most = logits[name].shape[-1]
  candidates = scoring.most_likely(
    logits[name], min(policy.num_candidates, most)
  )
  num_branches = candidates.shape[1] * num_rollouts

  def repeat(x):
    return jnp.repeat(x, num_branches, axis=0)

  first = jnp.repeat(candidates, num_rollouts, axis=1).reshape(-1)
  own = state.controls
  # One token of the room is the candidate's.
  left = repeat(own.max_new_tokens - state.lengths - 1)
  if horizon is not None:
    left = jnp.minimum(left, horizon)
  stop = state.stop if state.stop is None else repeat(state.stop)
  stop = policy.read_on(stop, first)
  is_over = repeat(state.finished) | policy.is_end(first, stop)
  controls = jax.tree.map(repeat, own).replace(
    seeds=_branch_seeds(own.seeds, state.lengths, num_branches),
    max_new_tokens=jnp.where(is_over, 0, left),
  )
  branches = jax.tree.map(repeat, state.replace(caches=None, controls=None))
  branches = branches.replace(
    caches={"reference": cache_lib.repeat(state.caches[name], num_branches)},
    controls=controls,
    newest=first,
    position=branches.position + 1,
    finished=controls.max_new_tokens <= 0,
    lengths=jnp.zeros_like(branches.lengths),
    stop=stop,
  )
  ends = decode_lib.decode(
    baseline, {"reference": params[name]}, branches, len(first)
  )
  return candidates, ends.replace(caches=None)


@functools.partial(
  jax.jit, static_argnames=("policy", "weigh"), donate_argnames="state"
)
def _choose(
  policy: policy_lib.Policy,
  state: state_lib.DecodeState,
  logits: dict[str, Array],
  candidates: Array,
  scores: Array,
  weigh: Weigh,
) -> state_lib.DecodeState:
  """Draws the next tokens by the roll-outs' rewards [B, A, N, C]."""
  eta = state.controls.eta
  # Nobody has looked ahead from the other tokens.
  other = jnp.where(jnp.isfinite(eta), -jnp.inf, 0.0)
  weights = weigh(scores, eta[:, None])
  distribution = next_token.distribution_of(
    policy, state.controls, logits, candidates, weights, other
  )
  return turn_lib.write(policy, state, distribution)


def _branch_seeds(seeds: Array, steps: Array, num_branches: int) -> Array:
  """A seed for every branch of every row, another one at each step: [B * n]."""

  def draw(seed: Array, step: Array) -> Array:
    # Beyond any step that the row itself draws with.
    key = jax.random.fold_in(jax.random.key(seed), step + (1 << 30))
    return jax.random.bits(key, (num_branches,))

  return jax.vmap(draw)(seeds, steps).reshape(-1)


def _judge(
  owners: Sequence[requests_lib.Request],
  is_open: np.ndarray,
  tokens: np.ndarray,
  lengths: np.ndarray,
  candidates: np.ndarray,
  ends: state_lib.DecodeState,
  rewards: Rewards,
) -> tuple[np.ndarray, np.ndarray]:
  """Rewards [B, A, N, C] of open rows, 0 elsewhere, and forwards [B].

  A roll-out costs a pass for each of its tokens and one for each of the C
  rewards, which read it as a whole.
  """
  num_rows, num_candidates = candidates.shape
  num_rollouts = len(ends.lengths) // candidates.size
  sequences, branches = [], []
  for row in np.flatnonzero(is_open[: len(owners)]):
    before = tokens[row, : lengths[row]].tolist()
    for i, candidate in enumerate(candidates[row].tolist()):
      for j in range(num_rollouts):
        branch = (row * num_candidates + i) * num_rollouts + j
        rest = ends.tokens[branch, : ends.lengths[branch]].tolist()
        sequences.append((owners[row], [*before, candidate, *rest]))
        branches.append(branch)
  found = np.asarray(rewards(sequences), np.float32)
  scores = np.zeros((len(ends.lengths), found.shape[1]), np.float32)
  scores[branches] = found
  shape = (num_rows, num_candidates, num_rollouts, -1)
  passes = (ends.lengths + found.shape[1]).reshape(num_rows, -1).sum(1)
  return scores.reshape(shape), np.where(is_open, passes, 0)
