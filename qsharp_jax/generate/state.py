"""What the decode loop carries, and who enters it when."""

import functools

import chex
import jax
import jax.numpy as jnp
from flax import struct

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import next_token
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import race as race_lib
from qsharp_jax.models import cache as cache_lib


@struct.dataclass
class DecodeState:
  """All that the loop carries; M is the most tokens that a row can write.

  Rows do not know of each other: each counts its own tokens, and a row that
  has finished can be given to another prompt. A turn of the loop takes a slot
  of all caches; a row whose token it does not settle leaves a hole there.
  """

  caches: PyTree  # of `KVCache`s, by the name of the model; None: left out
  controls: policy_lib.Controls
  race: race_lib.Race | None  # for the next token; None: never waits
  newest: Array  # [B] int32, last token of each prefix, not yet in the caches
  position: Array  # [B] int32, its position
  finished: Array  # [B] bool
  ended: Array  # [B] bool, finished by an end token or a stop string
  lengths: Array  # [B] int32, tokens written, the end token included
  tokens: Array  # [B, M] int32, 0 after the end
  log_probs: Array  # [B, M] of the sampled distribution
  ref_log_probs: Array  # [B, M] of the reference at temperature
  kl: Array  # [B, M] nats
  kl_filtered: Array  # [B, M] nats
  turns: Array  # [B] int32, of the loop, that the row was open
  scored: Array  # [B] int32, candidates whose log-weights were needed
  holes: Array  # [B] int32, slots since its first key that it left empty
  stop: Array | None  # [B] int32, how far stop strings have come; None: none
  top: next_token.Top | None = None  # [B, M, n]; None: not kept


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

  def grow(cache):
    return cache_lib.grow(cache_lib.repeat(cache, num_samples), num_slots)

  def repeat(x):
    return jnp.repeat(x, num_samples)

  def per_token(dtype):
    return jnp.zeros((num_rows, num_new_tokens), dtype)

  none_yet = jnp.zeros(num_rows, jnp.int32)
  return DecodeState(
    caches=cache_lib.each(grow, caches),
    controls=controls,
    race=race_lib.empty(num_rows, policy.most_candidates)
    if policy.is_lazy
    else None,
    newest=repeat(prompts[:, -1]),
    position=repeat(positions[:, -1]),
    finished=controls.max_new_tokens <= 0,
    ended=jnp.zeros(num_rows, bool),
    lengths=none_yet,
    tokens=per_token(jnp.int32),
    log_probs=per_token(jnp.float32),
    ref_log_probs=per_token(jnp.float32),
    kl=per_token(jnp.float32),
    kl_filtered=per_token(jnp.float32),
    turns=none_yet,
    scored=none_yet,
    holes=none_yet,
    stop=None if policy.stops is None else none_yet,
    top=_no_top(num_rows, num_new_tokens, policy.num_top),
  )


def _no_top(num_rows: int, length: int, num_top: int) -> next_token.Top | None:
  if not num_top:
    return None
  table = jnp.zeros((num_rows, length, num_top))
  return next_token.Top(table.astype(jnp.int32), table)


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

  def put(old, new):
    return old.at[rows].set(new, mode="drop")

  def insert(old, new):
    return cache_lib.insert(old, new, rows)

  def bare(state):
    return state.replace(caches=None)

  return jax.tree.map(put, bare(state), bare(newcomers)).replace(
    caches=cache_lib.each(insert, state.caches, newcomers.caches)
  )


@functools.partial(jax.jit, donate_argnames="state")
def release(state: DecodeState, rows: Array) -> DecodeState:
  """Gives up some rows [B] bool; what they have written stays."""
  return state.replace(finished=state.finished | rows)


def grow(state: DecodeState, num_slots: int) -> DecodeState:
  """The same state with caches of `num_slots`, without holes.

  The old one is given up, one array after the other, so that only one lies in
  memory twice.
  """

  def gather(slots: Array, order: Array, **sizes: int) -> Array:
    wider = _gather(slots, order, **sizes)
    slots.delete()
    return wider

  def pack(cache):
    return cache_lib.pack(cache, num_slots, gather=gather)

  # A row that waits leaves its next slot empty.
  holes = is_waiting(state).astype(jnp.int32)
  return state.replace(caches=cache_lib.each(pack, state.caches), holes=holes)


_gather = jax.jit(cache_lib.gather, static_argnames=("num_slots", "fill"))


def is_waiting(state: DecodeState) -> Array:
  """Rows whose newest token has been read; its slot of this turn is empty."""
  if state.race is None:
    return jnp.zeros_like(state.finished)
  return state.race.num_scored > 0


def eta_of(state: DecodeState) -> Array:
  """KL weight of every row's next token, [B, 1], or of each reward, [B, M].

  Beyond the switch, and for the reference's own rows, it is infinite.
  """
  return state.controls.etas(state.lengths < state.controls.guided_steps)
