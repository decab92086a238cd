"""One turn of the decode loop: a token for every row that it settles."""

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax.core.arrays import Array, ArrayLike, PyTree
from qsharp_jax.generate import choice, guided
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import race as race_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.ops import filtering

_PADDING = -1  # the position of what is not kept


def step(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
) -> state_lib.DecodeState:
  """One turn: reads what is new, scores candidates, writes what is settled."""
  return turn(policy, params, state)[0]


def turn(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
) -> tuple[state_lib.DecodeState, policy_lib.NextDistribution | None]:
  """One turn, and what it drew from; None where it does not know all of it."""
  logits, state = read(policy, params, state)
  eta = state_lib.eta_of(state)
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


def read(
  policy: policy_lib.Policy, params: PyTree, state: state_lib.DecodeState
) -> tuple[dict[str, Array], state_lib.DecodeState]:
  """Logits [B, V] of the reference and the actor after the newest token."""
  logits, caches = {}, dict(state.caches)
  position = jnp.where(state_lib.is_waiting(state), _PADDING, state.position)
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


def write(
  policy: policy_lib.Policy,
  state: state_lib.DecodeState,
  distribution: policy_lib.NextDistribution,
  scored: ArrayLike = 0,
) -> state_lib.DecodeState:
  """Draws the next tokens and writes them down; `scored` as for `record`."""
  drawn = distribution.at(_draw(state, distribution), policy.num_top)
  return record(policy, state, drawn, scored=scored)


def _draw(
  state: state_lib.DecodeState, distribution: policy_lib.NextDistribution
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
  state: state_lib.DecodeState,
  ref_logits: Array,
  eta: Array,
) -> tuple[state_lib.DecodeState, policy_lib.NextDistribution | None]:
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
  state: state_lib.DecodeState,
  logits: Array,
  eta: Array,
) -> tuple[Array, Array, Array, state_lib.DecodeState]:
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
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  leaves: Array,
) -> tuple[Array, state_lib.DecodeState]:
  """Value logits [B, n, K] of next tokens, and the state with a new cache."""
  how = {} if state.race is None else {"is_read": state_lib.is_waiting(state)}
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
  state: state_lib.DecodeState,
  drawn: policy_lib.NextToken,
  is_settled: ArrayLike = True,
  scored: ArrayLike = 0,
) -> state_lib.DecodeState:
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
