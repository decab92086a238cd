"""Prefill, the one decode loop of the project, and who enters it when."""

import functools

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.ops import filtering


@struct.dataclass
class DecodeState:
  """All that the loop carries; M is the most tokens that a row can write.

  Rows do not know of each other: each counts its own tokens, and a row that
  has finished can be given to another prompt.
  """

  caches: PyTree  # of `KVCache`s, by the name of the model; None: left out
  controls: policy_lib.Controls
  newest: Array  # [B] int32, last token of each prefix, not yet in the caches
  position: Array  # [B] int32, its position
  finished: Array  # [B] bool
  ended: Array  # [B] bool, finished by an end token
  lengths: Array  # [B] int32, tokens written, the end token included
  tokens: Array  # [B, M] int32, 0 after the end
  log_probs: Array  # [B, M] of the sampled distribution
  ref_log_probs: Array  # [B, M] of the reference at temperature
  kl: Array  # [B, M] nats
  kl_filtered: Array  # [B, M] nats


@functools.partial(
  jax.jit, static_argnames=("policy", "num_slots", "num_new_tokens")
)
def prefill(
  policy: policy_lib.Policy,
  params: PyTree,
  prompts: Array,
  positions: Array,
  controls: policy_lib.Controls,
  *,
  num_slots: int,
  num_new_tokens: int,
) -> DecodeState:
  """Reads the prompts once; the samples of a prompt share that reading.

  Args:
    policy: the models.
    params: see `Policy`.
    prompts: right-aligned prompts. Shape [B, P], int32.
    positions: -1 for padding. Shape [B, P], int32.
    controls: of every row: a prompt's samples lie side by side. Fields [R],
      R a multiple of B.
    num_slots: S, size of the caches, at least P - 1.
    num_new_tokens: M, room for the completion.

  Returns:
    The state before the first step, with R rows.
  """
  chex.assert_rank([prompts, positions, controls.seeds], [2, 2, 1])
  chex.assert_type([prompts, positions], int)
  chex.assert_equal_shape([prompts, positions])
  num_rows = len(controls.seeds)
  num_samples = num_rows // len(prompts)
  # The last prompt token is left to the loop: it is the first newest token.
  caches = {
    name: getattr(policy, name).apply(
      params[name], prompts[:, :-1], positions[:, :-1], method="prefill"
    )
    for name in policy.decoders
  }
  grow = lambda cache: cache_lib.grow(
    cache_lib.repeat(cache, num_samples), num_slots
  )
  repeat = lambda x: jnp.repeat(x, num_samples)
  per_token = lambda dtype: jnp.zeros((num_rows, num_new_tokens), dtype)
  return DecodeState(
    caches=cache_lib.each(grow, caches),
    controls=controls,
    newest=repeat(prompts[:, -1]),
    position=repeat(positions[:, -1]),
    finished=controls.max_new_tokens <= 0,
    ended=jnp.zeros(num_rows, bool),
    lengths=jnp.zeros(num_rows, jnp.int32),
    tokens=per_token(jnp.int32),
    log_probs=per_token(jnp.float32),
    ref_log_probs=per_token(jnp.float32),
    kl=per_token(jnp.float32),
    kl_filtered=per_token(jnp.float32),
  )


@functools.partial(jax.jit, donate_argnames="state")
def admit(
  state: DecodeState, newcomers: DecodeState, rows: Array
) -> DecodeState:
  """Gives rows to other prompts.

  Args:
    state: B rows, of which those in `rows` have finished. Given up.
    newcomers: R rows, as `prefill` makes them; their caches may be smaller.
    rows: where they go; B or more for one that goes nowhere. Shape [R], int32.
  """
  chex.assert_rank(rows, 1)
  chex.assert_type(rows, int)
  put = lambda old, new: old.at[rows].set(new, mode="drop")
  insert = lambda old, new: cache_lib.insert(old, new, rows)
  bare = lambda state: state.replace(caches=None)
  return jax.tree.map(put, bare(state), bare(newcomers)).replace(
    caches=cache_lib.each(insert, state.caches, newcomers.caches)
  )


@functools.partial(jax.jit, static_argnames="policy", donate_argnames="state")
def decode(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
  num_finished: Array,
) -> DecodeState:
  """Samples until so many rows have finished, or one needs a larger cache."""
  chex.assert_rank(num_finished, 0)
  chex.assert_type(num_finished, int)
  num_slots = state.caches["reference"].positions.shape[1]

  def is_going(state: DecodeState) -> Array:
    has_room = state.finished | (state.position < num_slots)
    return has_room.all() & (state.finished.sum() < num_finished)

  return jax.lax.while_loop(
    is_going, functools.partial(step, policy, params), state
  )


def grow(state: DecodeState, num_slots: int) -> DecodeState:
  """The same state with caches of `num_slots`. The old one is given up.

  One array after the other, so that only one lies in memory twice.
  """

  def unroll(slots: Array, index: Array, **sizes: int) -> Array:
    wider = _unroll(slots, index, **sizes)
    slots.delete()
    return wider

  wider = lambda cache: cache_lib.grow(cache, num_slots, unroll=unroll)
  return state.replace(caches=cache_lib.each(wider, state.caches))


_unroll = jax.jit(cache_lib.unroll, static_argnames=("num_slots", "fill"))


def step(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
) -> DecodeState:
  """Reads the newest token, draws the next one, writes it down."""
  logits, state = read(policy, params, state)
  # Beyond the switch, and for the reference's own rows, eta is infinite.
  is_guided = state.lengths < state.controls.guided_steps
  eta = jnp.where(is_guided, state.controls.eta, jnp.inf)
  # Without values there are no candidates to keep to.
  is_truncated = policy.is_truncated and policy.value is not None
  other = jnp.where(jnp.isfinite(eta) & is_truncated, -jnp.inf, 0.0)
  proposed = logits.get("actor", logits["reference"])
  candidates, weights, state = _weigh(policy, params, state, proposed, eta)
  distribution = policy_lib.next_distribution(
    logits["reference"],
    candidates,
    weights,
    state.controls,
    actor_logits=logits.get("actor"),
    other_weight=other,
    is_guidance_tempered=policy.is_guidance_tempered,
  )
  return write(policy, state, distribution)


def read(
  policy: policy_lib.Policy, params: PyTree, state: DecodeState
) -> tuple[dict[str, Array], DecodeState]:
  """Logits [B, V] of the reference and the actor after the newest token."""
  logits, caches = {}, dict(state.caches)
  for name in ("reference", "actor"):
    if name in caches:
      logits[name], caches[name] = getattr(policy, name).apply(
        params[name],
        state.newest,
        state.position,
        caches[name],
        method="next_logits",
      )
  return logits, state.replace(caches=caches)


def write(
  policy: policy_lib.Policy,
  state: DecodeState,
  distribution: policy_lib.NextDistribution,
) -> DecodeState:
  """Draws the next tokens and writes them down."""
  uniforms = _uniforms(state.controls, state.lengths)
  return record(
    policy,
    state,
    filtering.sample(distribution.sampled, uniforms),
    distribution,
  )


def _weigh(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
  logits: Array,
  eta: Array,
) -> tuple[Array, Array, DecodeState]:
  """Candidates [B, A], their log-weights [B, A], and the next value cache."""
  if policy.value is None:
    nothing = jnp.zeros((logits.shape[0], 1))
    return nothing.astype(jnp.int32), nothing, state
  num_candidates = min(policy.num_candidates, logits.shape[-1])
  candidates = most_likely(logits, num_candidates)
  values, cache = policy.value.apply(
    params["value"],
    state.newest,
    state.position,
    candidates,
    state.caches["value"],
    method="candidate_values",
  )
  state = state.replace(caches=state.caches | {"value": cache})
  return candidates, policy.guidance(values, eta[:, None]), state


def most_likely(logits: Array, k: int) -> Array:
  """The k most likely tokens of each row: [B, V] to [B, k], int32.

  Each device looks at its own rows: left to itself, the compiler gathers the
  logits of all rows on every device, at every step.
  """
  chex.assert_rank(logits, 2)
  chex.assert_type(logits, float)
  find = lambda logits: jax.lax.top_k(logits, k)[1]
  if jax.sharding.get_abstract_mesh().empty:
    return find(logits)
  rows = nn.logical_to_mesh_axes(("batch",))
  return jax.shard_map(
    find, in_specs=rows, out_specs=rows, axis_names=set(rows[0])
  )(logits)


def _uniforms(controls: policy_lib.Controls, steps: Array) -> Array:
  """One number a row, that depends on its seed and own step [B] only.

  After the switch the stream is another one: a switch chosen by looking at a
  completion must not be followed by the same luck.
  """

  def draw(seed: Array, guided_steps: Array, step: Array) -> Array:
    key = jax.random.fold_in(jax.random.key(seed), step)
    key = jax.random.fold_in(key, step >= guided_steps)
    return jax.random.uniform(key)

  return jax.vmap(draw)(controls.seeds, controls.guided_steps, steps)


def record(
  policy: policy_lib.Policy,
  state: DecodeState,
  tokens: Array,
  distribution: policy_lib.NextDistribution,
) -> DecodeState:
  """Writes the tokens and their numbers behind those of open rows."""
  chex.assert_rank(tokens, 1)
  chex.assert_type(tokens, int)
  is_open = ~state.finished
  one = is_open.astype(jnp.int32)
  columns = jnp.arange(state.tokens.shape[1])[None]
  # A choice, not a scatter: rows are at different columns, and stay where they
  # lie when the batch is cut over devices.
  is_next = is_open[:, None] & (columns == state.lengths[:, None])
  put = lambda table, new: jnp.where(is_next, new[:, None], table)
  at_token = lambda log_probs: jnp.take_along_axis(
    log_probs, tokens[:, None], axis=1
  )[:, 0]
  is_end = jnp.isin(tokens, jnp.array(policy.eos_ids, jnp.int32))
  lengths = state.lengths + one
  is_full = lengths >= state.controls.max_new_tokens
  return state.replace(
    newest=tokens,
    position=state.position + one,
    finished=state.finished | is_end | is_full,
    ended=state.ended | (is_open & is_end),
    lengths=lengths,
    tokens=put(state.tokens, tokens),
    log_probs=put(state.log_probs, at_token(distribution.sampled)),
    ref_log_probs=put(state.ref_log_probs, at_token(distribution.reference)),
    kl=put(state.kl, distribution.kl),
    kl_filtered=put(state.kl_filtered, distribution.kl_filtered),
  )
