"""Prefill, the one decode loop of the project, and who enters it when."""

import functools

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from qsharp_jax.core.arrays import Array, ArrayLike, PyTree
from qsharp_jax.generate import choice, guided
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import race as race_lib
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.ops import filtering


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
  top: policy_lib.Top | None = None  # [B, M, n]; None: not kept


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


def _no_top(num_rows: int, length: int, num_top: int) -> policy_lib.Top | None:
  if not num_top:
    return None
  table = jnp.zeros((num_rows, length, num_top))
  return policy_lib.Top(table.astype(jnp.int32), table)


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
  return jax.lax.while_loop(
    functools.partial(_is_going, num_finished),
    functools.partial(step, policy, params),
    state,
  )


@functools.partial(jax.jit, static_argnames="policy", donate_argnames="state")
def decode_some(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
  num_finished: Array,
  num_turns: Array,
) -> DecodeState:
  """As `decode`, but so many turns at most."""
  chex.assert_rank([num_finished, num_turns], 0)
  chex.assert_type([num_finished, num_turns], int)

  def is_going(carry: tuple[Array, DecodeState]) -> Array:
    turn, state = carry
    return (turn < num_turns) & _is_going(num_finished, state)

  def go(carry: tuple[Array, DecodeState]) -> tuple[Array, DecodeState]:
    turn, state = carry
    return turn + 1, step(policy, params, state)

  return jax.lax.while_loop(is_going, go, (jnp.int32(0), state))[1]


def _is_going(num_finished: Array, state: DecodeState) -> Array:
  num_slots = state.caches["reference"].positions.shape[1]
  has_room = state.finished | (state.position + state.holes < num_slots)
  return has_room.all() & (state.finished.sum() < num_finished)


@functools.partial(jax.jit, donate_argnames="state")
def release(state: DecodeState, rows: Array) -> DecodeState:
  """Gives up some rows [B] bool; what they have written stays."""
  return state.replace(finished=state.finished | rows)


def advance(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
  num_turns: int,
) -> DecodeState:
  """So many turns as a scan, which may stand inside any other program.

  Rows that finish earlier do nothing in the turns that are left. Caches must
  have room for all turns.
  """

  def one(state: DecodeState, _: None) -> tuple[DecodeState, None]:
    return step(policy, params, state), None

  return jax.lax.scan(one, state, length=num_turns)[0]


def grow(state: DecodeState, num_slots: int) -> DecodeState:
  """The same state with caches of `num_slots`, without holes.

  The old one is given up, one array after the other, so that only one lies in
  memory twice.
  """

  def gather(slots: Array, order: Array, **sizes: int) -> Array:
    wider = _gather(slots, order, **sizes)
    slots.delete()
    return wider

  pack = lambda cache: cache_lib.pack(cache, num_slots, gather=gather)
  # A row that waits leaves its next slot empty.
  holes = is_waiting(state).astype(jnp.int32)
  return state.replace(caches=cache_lib.each(pack, state.caches), holes=holes)


_PADDING = -1  # the position of what is not kept
_gather = jax.jit(cache_lib.gather, static_argnames=("num_slots", "fill"))


def step(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
) -> DecodeState:
  """One turn: reads what is new, scores candidates, writes what is settled."""
  return turn(policy, params, state)[0]


def turn(
  policy: policy_lib.Policy,
  params: PyTree,
  state: DecodeState,
) -> tuple[DecodeState, policy_lib.NextDistribution | None]:
  """One turn, and what it drew from; None where it does not know all of it."""
  logits, state = read(policy, params, state)
  eta = eta_of(state)
  guidance = _guidance(policy, state.controls)
  if policy.is_raced:
    return _race(policy, guidance, params, state, logits["reference"], eta)
  proposed = logits.get("actor", logits["reference"])
  candidates, weights, other, state = _weigh(
    policy, guidance, params, state, proposed, eta
  )
  distribution = policy_lib.next_distribution(
    logits["reference"],
    candidates,
    weights,
    state.controls,
    actor_logits=logits.get("actor"),
    other_weight=other,
    is_guidance_tempered=policy.is_guidance_tempered,
    top_p_of=policy.top_p_of,
  )
  is_weighed = jnp.isfinite(eta).any(axis=1) & (policy.value is not None)
  scored = jnp.where(is_weighed, candidates.shape[1], 0)
  return write(policy, state, distribution, scored), distribution


def eta_of(state: DecodeState) -> Array:
  """KL weight of every row's next token, [B, 1], or of each reward, [B, M].

  Beyond the switch, and for the reference's own rows, it is infinite.
  """
  return state.controls.etas(state.lengths < state.controls.guided_steps)


def read(
  policy: policy_lib.Policy, params: PyTree, state: DecodeState
) -> tuple[dict[str, Array], DecodeState]:
  """Logits [B, V] of the reference and the actor after the newest token."""
  logits, caches = {}, dict(state.caches)
  position = jnp.where(is_waiting(state), _PADDING, state.position)
  for name in ("reference", "actor"):
    if name in caches:
      logits[name], caches[name] = getattr(policy, name).apply(
        params[name],
        state.newest,
        position,
        caches[name],
        method="next_logits",
      )
  return logits, state.replace(caches=caches)


def is_waiting(state: DecodeState) -> Array:
  """Rows whose newest token has been read; its slot of this turn is empty."""
  if state.race is None:
    return jnp.zeros_like(state.finished)
  return state.race.num_scored > 0


def write(
  policy: policy_lib.Policy,
  state: DecodeState,
  distribution: policy_lib.NextDistribution,
  scored: ArrayLike = 0,
) -> DecodeState:
  """Draws the next tokens and writes them down; `scored` as for `record`."""
  drawn = distribution.at(_draw(state, distribution), policy.num_top)
  return record(policy, state, drawn, scored=scored)


def _draw(
  state: DecodeState, distribution: policy_lib.NextDistribution
) -> Array:
  keys = race_lib.row_keys(state.controls, state.lengths)
  uniforms = jax.vmap(jax.random.uniform)(keys)
  return filtering.sample(distribution.sampled, uniforms)


def _guidance(
  policy: policy_lib.Policy, controls: policy_lib.Controls
) -> guided.Guidance | choice.Rows | None:
  """The guidance, or what the rows choose."""
  if isinstance(policy.guidance, choice.Choice):
    return policy.guidance.of(controls.which, controls.num_candidates)
  return policy.guidance


def _race(
  policy: policy_lib.Policy,
  guidance: guided.Guidance | choice.Rows,
  params: PyTree,
  state: DecodeState,
  ref_logits: Array,
  eta: Array,
) -> tuple[DecodeState, policy_lib.NextDistribution | None]:
  """Scores as many candidates as a turn may, and writes what they settle."""
  laws = policy_lib.laws(ref_logits, state.controls, top_p_of=policy.top_p_of)
  candidates = most_likely(ref_logits, policy.most_candidates)
  race = race_lib.begin(
    guidance, laws.base, candidates, state.controls, state.lengths, eta
  )
  num_scored = policy.most_candidates
  if policy.is_lazy:
    race = race_lib.resume(state.race, race)
    num_scored = policy.num_scored
  needed = race.needed(num_scored)
  leaves = race.next(num_scored)
  values, state = candidate_values(policy, params, state, leaves)
  race = race.add(guidance.scores(values, eta))
  other = other_scores(policy, race.scores, eta, guidance)
  column, is_settled = race_lib.lead(guidance, race, other)
  if policy.is_lazy:
    state = state.replace(race=race_lib.leave(race, is_settled))
    return record(policy, state, race.known(column), is_settled, needed), None
  scores, tokens = race.scores, race.known(column).tokens
  if isinstance(guidance, choice.Rows):
    scores = guidance.covered(scores, other)
  distribution = policy_lib.tilt(laws, race.candidates, scores, other)
  if not policy.guidance.is_always_raced:
    drawn = _draw(state, distribution)
    tokens = jnp.where(guidance.is_raced(), tokens, drawn)
  chosen = distribution.at(tokens, policy.num_top)
  return record(policy, state, chosen, scored=needed), distribution


def _weigh(
  policy: policy_lib.Policy,
  guidance: guided.Guidance | choice.Rows,
  params: PyTree,
  state: DecodeState,
  logits: Array,
  eta: Array,
) -> tuple[Array, Array, Array, DecodeState]:
  """Candidates and log-weights [B, A], that of others [B], the next state."""
  if policy.value is None:
    nothing = jnp.zeros((logits.shape[0], 1))
    return nothing.astype(jnp.int32), nothing, nothing[:, 0], state
  candidates = most_likely(logits, policy.most_candidates)
  values, state = candidate_values(policy, params, state, candidates)
  scores = guidance.scores(values, eta)
  other = other_scores(policy, scores, eta, guidance)
  if isinstance(guidance, choice.Rows):
    scores = guidance.covered(scores, other)
  return candidates, scores, other, state


def candidate_values(
  policy: policy_lib.Policy, params: PyTree, state: DecodeState, leaves: Array
) -> tuple[Array, DecodeState]:
  """Value logits [B, n, K] of next tokens, and the state with a new cache."""
  how = {} if state.race is None else {"is_read": is_waiting(state)}
  values, cache = policy.value.apply(
    params["value"],
    state.newest,
    state.position,
    leaves,
    state.caches["value"],
    **how,
    method="candidate_values",
  )
  return values, state.replace(caches=state.caches | {"value": cache})


def other_scores(
  policy: policy_lib.Policy,
  scores: Array,
  eta: Array,
  guidance: guided.Guidance | choice.Rows | None = None,
) -> Array:
  """The score of tokens that are no candidates, at most. Shape [B].

  Of the policy's guidance, or of the one that its rows have chosen.
  """
  other = (guidance or policy.guidance).other(scores)
  is_excluded = policy.is_truncated & jnp.isfinite(eta).any(axis=1)
  return jnp.where(is_excluded, -jnp.inf, other[:, 0])


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


def record(
  policy: policy_lib.Policy,
  state: DecodeState,
  drawn: policy_lib.NextToken,
  is_settled: ArrayLike = True,
  scored: ArrayLike = 0,
) -> DecodeState:
  """Writes the tokens that are settled behind those of open rows.

  Args:
    policy: knows what ends an answer.
    state: before this turn.
    drawn: tokens and their numbers.
    is_settled: False for rows that wait for another turn. Scalar or [B].
    scored: candidates whose log-weights this turn needed. Scalar or [B].
  """
  chex.assert_rank(drawn.tokens, 1)
  chex.assert_type(drawn.tokens, int)
  is_open = ~state.finished & is_settled
  one = is_open.astype(jnp.int32)
  turn = (~state.finished).astype(jnp.int32)
  columns = jnp.arange(state.tokens.shape[1])[None]
  # A choice, not a scatter: rows are at different columns, and stay where they
  # lie when the batch is cut over devices.
  is_next = is_open[:, None] & (columns == state.lengths[:, None])
  put = lambda table, new: jnp.where(is_next, new[:, None], table)
  stop = policy.read_on(state.stop, drawn.tokens)
  is_end = policy.is_end(drawn.tokens, stop)
  lengths = state.lengths + one
  is_full = lengths >= state.controls.max_new_tokens
  return state.replace(
    newest=jnp.where(is_open, drawn.tokens, state.newest),
    position=state.position + one,
    finished=state.finished | is_open & (is_end | is_full),
    ended=state.ended | is_open & is_end,
    lengths=lengths,
    tokens=put(state.tokens, drawn.tokens),
    log_probs=put(state.log_probs, drawn.log_probs),
    ref_log_probs=put(state.ref_log_probs, drawn.ref_log_probs),
    kl=put(state.kl, drawn.kl),
    kl_filtered=put(state.kl_filtered, drawn.kl_filtered),
    turns=state.turns + turn,
    scored=state.scored + turn * scored,
    holes=state.holes + turn - one,
    stop=stop if stop is None else jnp.where(is_open, stop, state.stop),
    top=None
    if state.top is None
    else jax.tree.map(
      lambda table, new: jnp.where(is_next[..., None], new[:, None], table),
      state.top,
      drawn.top,
    ),
  )
