"""One turn of the decode loop: a token for every row that it settles."""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, ArrayLike, PyTree
from qsharp_jax.generate import choice, guided, lazily, next_token, scoring
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
) -> tuple[state_lib.DecodeState, next_token.NextDistribution | None]:
  """One turn, and what it drew from; None where it does not know all of it."""
  logits, state = read(policy, params, state)
  eta = state_lib.eta_of(state)
  guidance = policy.guidance_of(state.controls)
  if policy.is_raced:
    return _race(policy, guidance, params, state, logits["reference"], eta)
  proposed = logits.get("actor", logits["reference"])
  candidates, weights, other, state = _weigh(
    policy, guidance, params, state, proposed, eta
  )
  distribution = next_token.distribution_of(
    policy, state.controls, logits, candidates, weights, other
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
  distribution: next_token.NextDistribution,
  scored: ArrayLike = 0,
) -> state_lib.DecodeState:
  """Draws the next tokens and writes them down; `scored` as for `record`."""
  drawn = distribution.at(_draw(state, distribution), policy.num_top)
  return record(policy, state, drawn, scored=scored)


def _draw(
  state: state_lib.DecodeState, distribution: next_token.NextDistribution
) -> Array:
  keys = race_lib.row_keys(state.controls, state.lengths)
  uniforms = jax.vmap(jax.random.uniform)(keys)
  return filtering.sample(distribution.sampled, uniforms)


def _race(
  policy: policy_lib.Policy,
  guidance: guided.Guidance | choice.Rows,
  params: PyTree,
  state: state_lib.DecodeState,
  ref_logits: Array,
  eta: Array,
) -> tuple[state_lib.DecodeState, next_token.NextDistribution | None]:
  """Draws the next tokens in a race, and writes down those that are settled."""
  before = next_token.unguided(
    ref_logits, state.controls, top_p_of=policy.top_p_of
  )
  candidates = scoring.most_likely(ref_logits, policy.most_candidates)
  race = race_lib.begin(
    guidance, before.base, candidates, state.controls, state.lengths, eta
  )
  if policy.is_lazy:
    return _race_lazily(policy, params, state, race, eta), None
  needed = race.needed(policy.most_candidates)
  values, state = scoring.candidate_values(
    policy, params, state, race.candidates
  )
  race = race.add(guidance.scores(values, eta))
  other = scoring.other_scores(policy, race.scores, eta, guidance)
  column, _ = race_lib.lead(guidance, race, other)
  scores, tokens = race.scores, race.known(column).tokens
  if isinstance(guidance, choice.Rows):
    scores = guidance.covered(scores, other)
  distribution = next_token.tilt(before, race.candidates, scores, other)
  if not policy.guidance.is_always_raced:
    drawn = _draw(state, distribution)
    tokens = jnp.where(guidance.is_raced(), tokens, drawn)
  chosen = distribution.at(tokens, policy.num_top)
  return record(policy, state, chosen, scored=needed), distribution


def _race_lazily(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  race: race_lib.Race,
  eta: Array,
) -> state_lib.DecodeState:
  """Scores few candidates; rows that these do not settle wait."""
  scored, led, state = lazily.score(policy, params, state, race, eta)
  race = scored.race
  state = state.replace(race=race_lib.leave(race, led.has_won))
  drawn = race.known(led.column)
  return record(policy, state, drawn, led.has_won, scored.needed)


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
  candidates = scoring.most_likely(logits, policy.most_candidates)
  values, state = scoring.candidate_values(policy, params, state, candidates)
  scores = guidance.scores(values, eta)
  other = scoring.other_scores(policy, scores, eta, guidance)
  if isinstance(guidance, choice.Rows):
    scores = guidance.covered(scores, other)
  return candidates, scores, other, state


def record(
  policy: policy_lib.Policy,
  state: state_lib.DecodeState,
  drawn: next_token.NextToken,
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
