"""Prefill and the one decode loop of the project."""

import functools

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
  """All that the loop carries; M is the most tokens it can write."""

  ref_cache: cache_lib.KVCache
  value_cache: cache_lib.KVCache | None
  step: Array  # [] int32
  newest: Array  # [B] int32, last token of each prefix, not yet in the caches
  position: Array  # [B] int32, its position
  finished: Array  # [B] bool
  ended: Array  # [B] bool, finished by an end token
  lengths: Array  # [B] int32, tokens written, the end token included
  tokens: Array  # [B, M] int32, 0 after the end
  log_probs: Array  # [B, M] of the sampled law
  ref_log_probs: Array  # [B, M] of the reference at temperature
  kl: Array  # [B, M] nats
  kl_filtered: Array  # [B, M] nats


@functools.partial(
  jax.jit, static_argnames=("policy", "num_samples", "num_new_tokens")
)
def prefill(
  policy: policy_lib.Policy,
  params: PyTree,
  prompts: Array,
  positions: Array,
  *,
  num_samples: int,
  num_new_tokens: int,
) -> DecodeState:
  """Reads the prompts once; the samples of a prompt share that reading.

  Args:
    policy: the models.
    params: {"reference": …, "value": …}, the latter where there is a value
      model.
    prompts: right-aligned prompts. Shape [B, P], int32.
    positions: -1 for padding. Shape [B, P], int32.
    num_samples: rows made of each prompt, side by side.
    num_new_tokens: M, room for the completion.

  Returns:
    The state before the first step, with B * num_samples rows.
  """
  # The last prompt token is left to the loop: it is the first newest token.
  head, head_positions = prompts[:, :-1], positions[:, :-1]
  rows, num_slots = head.shape

  empty = lambda model: cache_lib.empty(model.config, rows, num_slots)
  grow = lambda cache: cache_lib.extend(
    cache_lib.repeat(cache, num_samples), num_new_tokens
  )
  _, ref_cache = policy.reference.apply(
    params["reference"],
    head,
    head_positions,
    cache=empty(policy.reference),
    method="hidden",
  )
  value_cache = None
  if policy.value is not None:
    value_cache = policy.value.apply(
      params["value"],
      head,
      head_positions,
      empty(policy.value),
      method="prefill",
    )
    value_cache = grow(value_cache)
  repeat = lambda x: jnp.repeat(x, num_samples)
  batch = rows * num_samples
  per_token = lambda dtype: jnp.zeros((batch, num_new_tokens), dtype)
  return DecodeState(
    ref_cache=grow(ref_cache),
    value_cache=value_cache,
    step=jnp.zeros((), jnp.int32),
    newest=repeat(prompts[:, -1]),
    position=repeat(positions[:, -1]),
    finished=jnp.zeros(batch, bool),
    ended=jnp.zeros(batch, bool),
    lengths=jnp.zeros(batch, jnp.int32),
    tokens=per_token(jnp.int32),
    log_probs=per_token(jnp.float32),
    ref_log_probs=per_token(jnp.float32),
    kl=per_token(jnp.float32),
    kl_filtered=per_token(jnp.float32),
  )


@functools.partial(jax.jit, static_argnames="policy", donate_argnames="state")
def decode(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
  controls: policy_lib.Controls,
) -> DecodeState:
  """Samples until every row has ended or reached its limit."""
  state = state.replace(finished=controls.max_new_tokens <= 0)
  going = lambda state: ~state.finished.all()
  step = functools.partial(_step, policy, params, controls)
  return jax.lax.while_loop(going, step, state)


def _step(
  policy: policy_lib.Policy,
  params: PyTree,
  controls: policy_lib.Controls,
  state: DecodeState,
) -> DecodeState:
  """Reads the newest token, draws the next one, writes it down."""
  hidden, ref_cache = policy.reference.apply(
    params["reference"],
    state.newest[:, None],
    state.position[:, None],
    cache=state.ref_cache,
    method="hidden",
  )
  ref_logits = policy.reference.apply(
    params["reference"], hidden[:, 0], method="logits"
  )
  candidates, weights, value_cache = _weigh(
    policy, params, controls, state, ref_logits
  )
  law = policy_lib.next_law(
    ref_logits,
    candidates,
    weights,
    controls,
    is_guidance_tempered=policy.is_guidance_tempered,
  )
  tokens = filtering.sample(law.sampled, _uniforms(controls, state.step))
  state = state.replace(ref_cache=ref_cache, value_cache=value_cache)
  return _record(policy, controls, state, tokens, law)


def _weigh(
  policy: policy_lib.Policy,
  params: PyTree,
  controls: policy_lib.Controls,
  state: DecodeState,
  ref_logits: Array,
) -> tuple[Array, Array, cache_lib.KVCache | None]:
  """Candidates [B, A], their log-weights [B, A], and the value cache."""
  if policy.value is None:
    nothing = jnp.zeros((ref_logits.shape[0], 1))
    return nothing.astype(jnp.int32), nothing, None
  num_candidates = min(policy.num_candidates, ref_logits.shape[-1])
  candidates = _most_likely(ref_logits, num_candidates)
  values, value_cache = policy.value.apply(
    params["value"],
    state.newest,
    state.position,
    candidates,
    state.value_cache,
    method="candidate_values",
  )
  is_guided = state.step < controls.guided_steps
  eta = jnp.where(is_guided, controls.eta, jnp.inf)
  return candidates, policy.guidance(values, eta[:, None]), value_cache


def _most_likely(logits: Array, k: int) -> Array:
  """The k most likely tokens of each row: [B, V] to [B, k], int32.

  Each device looks at its own rows: left to itself, the compiler gathers the
  logits of all rows on every device, at every step.
  """
  find = lambda logits: jax.lax.top_k(logits, k)[1]
  if jax.sharding.get_abstract_mesh().empty:
    return find(logits)
  rows = nn.logical_to_mesh_axes(("batch",))
  return jax.shard_map(
    find, in_specs=rows, out_specs=rows, axis_names=set(rows[0])
  )(logits)


def _uniforms(controls: policy_lib.Controls, step: Array) -> Array:
  """One number a row, that depends on its seed and step only.

  After the switch the stream is another one: a switch chosen by looking at a
  completion must not be followed by the same luck.
  """

  def draw(seed: Array, guided_steps: Array) -> Array:
    key = jax.random.fold_in(jax.random.key(seed), step)
    key = jax.random.fold_in(key, step >= guided_steps)
    return jax.random.uniform(key)

  return jax.vmap(draw)(controls.seeds, controls.guided_steps)


def _record(
  policy: policy_lib.Policy,
  controls: policy_lib.Controls,
  state: DecodeState,
  tokens: Array,
  law: policy_lib.NextLaw,
) -> DecodeState:
  """Writes the tokens and their numbers into column `step` of open rows."""
  is_open = ~state.finished

  def put(table: Array, column: Array) -> Array:
    column = jnp.where(is_open, column, 0)[:, None].astype(table.dtype)
    return jax.lax.dynamic_update_slice(table, column, (0, state.step))

  at_token = lambda log_probs: jnp.take_along_axis(
    log_probs, tokens[:, None], axis=1
  )[:, 0]
  is_end = jnp.isin(tokens, jnp.array(policy.eos_ids, jnp.int32))
  lengths = state.lengths + is_open
  return state.replace(
    step=state.step + 1,
    newest=tokens,
    position=state.position + 1,
    finished=state.finished | is_end | (lengths >= controls.max_new_tokens),
    ended=state.ended | (is_open & is_end),
    lengths=lengths,
    tokens=put(state.tokens, tokens),
    log_probs=put(state.log_probs, at_token(law.sampled)),
    ref_log_probs=put(state.ref_log_probs, at_token(law.reference)),
    kl=put(state.kl, law.kl),
    kl_filtered=put(state.kl_filtered, law.kl_filtered),
  )
