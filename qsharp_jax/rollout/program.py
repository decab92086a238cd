"""Roll-in, roll-out, labels, aggregation and update as one compiled program.

Algorithm 1 where nothing needs the host: rewards are functions of token ids,
rollouts stay on the devices, in a buffer that all rounds share. Its parts are
pure functions, made for being called inside a program:

  roll_out    prompts and keys to trajectories: prefill, then a scan
  batch       trajectories to labelled rows, as `training.objectives` reads them
  append      rows to the buffer
  draw        rows out of it

`collect` is the first three as one program, `make_step` all four and the
update. Example, for a policy with values, their train state and an update such
as `training.step.make_step`:

  step = program.make_step(
    policy, reward_fn, update, num_new_tokens=8, num_updates=4, batch_size=32
  )
  buffer = program.empty(num_batches, num_rows, num_prompt_tokens + 8)
  for key in jax.random.split(jax.random.key(0), num_batches):
    controls_key, step_key = jax.random.split(key)
    controls = program.draw_controls(
      controls_key, num_rows, eta=0.1, horizon=8, num_new_tokens=8
    )
    state, buffer, found, metrics = step(
      reference, state, buffer, problems, controls, step_key
    )

Run under a mesh (`sharding.Layout.context`), rows stay on the devices that
sampled them; only drawing mixes them.

Source: arXiv 2502.20548, Algorithm 1.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from qsharp_jax.core.arrays import Array, ArrayLike, PyTree
from qsharp_jax.generate import decode as decode_lib
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.ops import token_rewards

# (tokens [R, M], lengths [R], answers) -> reward of each token [R, M]. Static:
# hashable, equal where it computes the same.
RewardFn = Callable[[Array, Array, PyTree], Array]
Batch = Mapping[str, Array]
# (train state, batch) -> (train state, metrics)
UpdateFn = Callable[[Any, Batch], tuple[Any, Mapping[str, Array]]]


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


@struct.dataclass
class Buffer:
  """Rows of C batches of R rollouts each; the oldest batch goes first.

  Batches lie along an axis of their own, so that appending one moves nothing
  between devices.
  """

  rows: dict[str, Array]  # fields of `batch`, each [C, R, T]
  num_appended: Array  # [] int32, batches in all


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


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def empty(num_batches: int, num_rows: int, length: int) -> Buffer:
  """Room for so many batches of R rows of T tokens.

  Compiled, so that it lies as the programs return it: a buffer that lay
  otherwise would have the first call of each compiled for itself.
  """
  table = lambda fill, dtype: _sharded(
    jnp.full((num_batches, num_rows, length), fill, dtype)
  )
  return Buffer(
    rows={
      "tokens": table(0, jnp.int32),
      "positions": table(-1, jnp.int32),
      "segments": table(0, jnp.int32),
      "mask": table(False, jnp.bool_),
      "labels": table(0, jnp.float32),
    },
    num_appended=jnp.zeros((), jnp.int32),
  )


def append(buffer: Buffer, rows: Batch) -> Buffer:
  """The buffer with one batch more, in the place of the oldest if it is full.

  Args:
    buffer: of C batches.
    rows: fields [R, T].
  """
  place = buffer.num_appended % len(buffer.rows["tokens"])
  put = lambda table, new: _sharded(
    jax.lax.dynamic_update_index_in_dim(table, new, place, axis=0)
  )
  return Buffer(
    {name: put(table, rows[name]) for name, table in buffer.rows.items()},
    buffer.num_appended + 1,
  )


def take(buffer: Buffer, indices: Array) -> dict[str, Array]:
  """The rows [b] of a buffer, counted from the first of its oldest place.

  Rows beyond the end come back as padding.
  """
  num_rows = buffer.rows["tokens"].shape[1]
  fills = {"positions": -1}
  return {
    name: nn.with_logical_constraint(
      table.at[indices // num_rows, indices % num_rows].get(
        mode="fill", fill_value=fills.get(name, 0)
      ),
      ("batch", None),
    )
    for name, table in buffer.rows.items()
  }


def draw(buffer: Buffer, key: Array, batch_size: int) -> dict[str, Array]:
  """Random rows of all that was appended, with repeats. Fields [b, T]."""
  num_batches, num_rows = buffer.rows["tokens"].shape[:2]
  num_held = jnp.minimum(buffer.num_appended, num_batches) * num_rows
  return take(buffer, jax.random.randint(key, (batch_size,), 0, num_held))


@functools.partial(
  jax.jit,
  static_argnames=("policy", "reward_fn", "num_new_tokens"),
  donate_argnames="buffer",
)
def collect(
  policy: policy_lib.Policy,
  reward_fn: RewardFn,
  params: PyTree,
  buffer: Buffer,
  problems: Problems,
  controls: policy_lib.Controls,
  first_label: Array | None = None,
  *,
  num_new_tokens: int,
) -> tuple[Buffer, Trajectories]:
  """Samples, labels and aggregates one batch: arguments as for `roll_out`."""
  found = roll_out(
    policy,
    reward_fn,
    params,
    problems,
    controls,
    first_label,
    num_new_tokens=num_new_tokens,
  )
  return append(buffer, batch(problems, found)), found


def make_step(
  policy: policy_lib.Policy,
  reward_fn: RewardFn,
  update: UpdateFn,
  *,
  num_new_tokens: int,
  num_updates: int,
  batch_size: int,
) -> Callable[..., tuple[Any, Buffer, Trajectories, Mapping[str, Array]]]:
  """One step of everything, as one program.

  Args:
    policy: with the value model that is trained.
    reward_fn: knows the rewards.
    update: one step of an optimizer; its state has the values as `params`.
    num_new_tokens: M.
    num_updates: U, after each batch of rollouts.
    batch_size: rows of an update, drawn from the whole buffer.

  Returns:
    (params of the reference, train state, buffer, problems, controls, key) ->
    (train state, buffer, trajectories, metrics of each update [U]). The train
    state and the buffer are given up.
  """

  def step(
    reference: PyTree,
    state: Any,
    buffer: Buffer,
    problems: Problems,
    controls: policy_lib.Controls,
    key: Array,
  ):
    dtype = policy.value.config.dtype
    value = jax.tree.map(lambda x: x.astype(dtype), state.params)
    found = roll_out(
      policy,
      reward_fn,
      {"reference": reference, "value": value},
      problems,
      controls,
      num_new_tokens=num_new_tokens,
    )
    buffer = append(buffer, batch(problems, found))

    def learn(state: Any, key: Array) -> tuple[Any, Mapping[str, Array]]:
      return update(state, draw(buffer, key, batch_size))

    keys = jax.random.split(key, num_updates)
    state, metrics = jax.lax.scan(learn, state, keys)
    return state, buffer, found, metrics

  return jax.jit(step, donate_argnums=(1, 2))


def _repeat(tree: PyTree, num_samples: int) -> PyTree:
  """Every row so many times, side by side."""
  return jax.tree.map(lambda x: jnp.repeat(x, num_samples, axis=0), tree)


def _sharded(table: Array) -> Array:
  """Batches [C, R, T], their rows shared by the devices."""
  return nn.with_logical_constraint(table, (None, "batch", None))
