"""Trajectories sampled on the devices, their rewards, labels and rows.

Pure functions, made for being called inside a program: `roll_out` goes from
prompts and keys to trajectories, by a prefill and a scan; `batch` from these to
labelled rows, as `training.objectives` reads them.

Source: arXiv 2502.20548, Algorithm 1.
"""

import dataclasses
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import struct

from qsharp_jax.core.arrays import Array, ArrayLike, PyTree
from qsharp_jax.generate import decode as decode_lib
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.ops import token_rewards

# (tokens [R, M], lengths [R], answers) -> reward of each token [R, M]. Static:
# hashable, equal where it computes the same.
RewardFn = Callable[[Array, Array, PyTree], Array]


@struct.dataclass
class Problems:
  """Prompts, and what the reward wants to know of each."""

  prompts: Array  # [B, P] int32, right-aligned
  positions: Array  # [B, P] int32, -1 for padding
  answers: PyTree  # leaves [B, ...]


@struct.dataclass
class Trajectories:
  """Samples and their labels; R rows, the samples of a prompt side by side."""

  tokens: Array  # [R, M] int32, 0 after the end
  lengths: Array  # [R] int32, the end token included
  ended: Array  # [R] bool, by an end token
  log_probs: Array  # [R, M] of the distribution sampled from
  ref_log_probs: Array  # [R, M] of the reference at temperature
  kl: Array  # [R, M] nats, before top-p; NaN of tokens drawn lazily
  kl_filtered: Array  # [R, M] nats, after top-p
  rewards: Array  # [R, M] float32, of each token
  labels: Array  # [R, M] float32, reward-to-go
  first_label: Array  # [R] int32, from here on the label is the reference's


def draw_controls(
  key: Array,
  num_rows: int,
  *,
  eta: ArrayLike,
  horizon: ArrayLike,
  num_new_tokens: int,
  temperature: float = 1.0,
  top_p: float = 1.0,
) -> policy_lib.Controls:
  """Streams of random numbers and switch times, drawn from a key.

  Args:
    key: a random key.
    num_rows: R.
    eta: KL weight of the roll-in, in reward units; inf for no guidance.
    horizon: the switch h is uniform over 1..horizon; the first h - 1 tokens
      are guided.
    num_new_tokens: M.
    temperature: of the reference.
    top_p: of the reference.
  """
  seeds, switches = jax.random.split(key)
  full = lambda value, dtype: jnp.full(num_rows, value, dtype)
  return policy_lib.Controls(
    seeds=jax.random.bits(seeds, (num_rows,), jnp.uint32),
    eta=full(eta, jnp.float32),
    guided_steps=jax.random.randint(switches, (num_rows,), 0, horizon),
    max_new_tokens=full(num_new_tokens, jnp.int32),
    temperature=full(temperature, jnp.float32),
    top_p=full(top_p, jnp.float32),
  )


def roll_out(
  policy: policy_lib.Policy,
  reward_fn: RewardFn,
  params: PyTree,
  problems: Problems,
  controls: policy_lib.Controls,
  first_label: Array | None = None,
  *,
  num_new_tokens: int,
) -> Trajectories:
  """Rolls in with the guided policy up to each row's switch, then out.

  The tokens are those of `generate.generate` for the same controls.

  Args:
    policy: the models. No row waits for another turn, so that so many turns
      are enough.
    reward_fn: knows the rewards.
    params: see `Policy`.
    problems: B prompts.
    controls: of R rows, R a multiple of B.
    first_label: token of each row at which labels begin; None: `guided_steps`,
      the first one that the reference chose. Shape [R], int32.
    num_new_tokens: M.
  """
  num_rows, num_prompts = len(controls.seeds), len(problems.prompts)
  chex.assert_is_divisible(num_rows, num_prompts)
  policy = dataclasses.replace(policy, may_wait=False)
  state = state_lib.prefill(
    policy,
    params,
    problems.prompts,
    problems.positions,
    controls,
    # A slot more than is needed, as in `generate.batching`.
    num_slots=problems.prompts.shape[1] + num_new_tokens,
    num_new_tokens=num_new_tokens,
  )
  state = decode_lib.advance(policy, params, state, num_new_tokens)
  answers = _repeat(problems.answers, num_rows // num_prompts)
  rewards = reward_fn(state.tokens, state.lengths, answers)
  return Trajectories(
    tokens=state.tokens,
    lengths=state.lengths,
    ended=state.ended,
    log_probs=state.log_probs,
    ref_log_probs=state.ref_log_probs,
    kl=state.kl,
    kl_filtered=state.kl_filtered,
    rewards=rewards,
    labels=token_rewards.to_go(rewards),
    first_label=controls.guided_steps if first_label is None else first_label,
  )


def batch(problems: Problems, found: Trajectories) -> dict[str, Array]:
  """Rows of prompt and completion, T = P + M, labelled from the switch on.

  Returns:
    `tokens`, `positions`, `segments`, `mask` and `labels`, each [R, T]. A row
    that ended before its switch has nothing to teach: its mask is empty.
  """
  num_samples = len(found.tokens) // len(problems.prompts)
  prompts = _repeat(problems.prompts, num_samples)
  before = _repeat(problems.positions, num_samples)
  steps = jnp.arange(found.tokens.shape[1], dtype=jnp.int32)[None]
  is_written = token_rewards.is_written(found.tokens, found.lengths)
  after = jnp.where(is_written, before[:, -1:] + 1 + steps, -1)
  mask = is_written & (steps >= found.first_label[:, None])
  nothing = jnp.zeros_like(prompts)
  positions = jnp.concatenate([before, after], axis=1)
  return {
    "tokens": jnp.concatenate([prompts, found.tokens], axis=1),
    "positions": positions,
    "segments": (positions >= 0).astype(jnp.int32),
    "mask": jnp.concatenate([nothing.astype(bool), mask], axis=1),
    "labels": jnp.concatenate(
      [nothing.astype(jnp.float32), jnp.where(mask, found.labels, 0.0)], axis=1
    ),
  }


def _repeat(tree: PyTree, num_samples: int) -> PyTree:
  """Every row so many times, side by side."""
  return jax.tree.map(lambda x: jnp.repeat(x, num_samples, axis=0), tree)
