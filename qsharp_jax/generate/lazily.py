"""A turn that scores few candidates of each row, and then more of few rows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import race as race_lib
from qsharp_jax.generate import scoring, subset
from qsharp_jax.generate import state as state_lib
from qsharp_jax.models import cache as cache_lib

# Of so many rows one may wait for the next turn: a pass over more candidates
# costs a fraction of a turn, and rows that nobody refills wait for the slowest.
_ONE_MAY_WAIT_OF = 12

SCOPE = "further_passes"  # names their loop in a compiled program


@struct.dataclass
class Scored:
  """How far some rows have come in a turn."""

  race: race_lib.Race
  eta: Array  # [B, 1] or [B, M]
  candidates: Array  # [B, A] int32, in the order of scoring
  told: PyTree  # leaves [B, A], what `first_values` tells of them
  done: Array  # [B] int32, how many of them are scored
  needed: Array  # [B] int32, how many of those could win


class Led(NamedTuple):
  """See `race.lead`."""

  column: Array  # [B] int32
  has_won: Array  # [B] bool


def score(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  begun: race_lib.Race,
  eta: Array,
) -> tuple[Scored, Led, state_lib.DecodeState]:
  """Scores the first m candidates, and more as long as many rows are open.

  A further pass reads few rows, open ones first, and scores twice as many
  candidates of each as the first. On TPUs there is none where rows may wait.

  Args:
    policy: a lazy one.
    params: see `Policy`.
    state: the values have not read the newest token.
    begun: the race, in rows that have not waited for this turn.
    eta: KL weight. Shape [B, 1] or [B, M].

  Returns:
    What is known at the end, who leads then, and the state with the newest
    token in its caches.
  """
  race, m = race_lib.resume(state.race, begun), policy.num_scored
  candidates = race.next(policy.most_candidates)
  values, told, state = scoring.first_values(policy, params, state, candidates)
  guidance = policy.guidance_of(state.controls)
  done = jnp.full(len(candidates), m, jnp.int32)
  now = Scored(race, eta, candidates, told, done, race.needed(m))
  now = now.replace(race=race.add(guidance.scores(values, eta)))
  most_waiting = 0
  if policy.may_wait:
    most_waiting = (~state.finished).sum() // _ONE_MAY_WAIT_OF

  def is_open(led: Led) -> Array:
    return ~(state.finished | led.has_won)

  def more(both: tuple[Scored, Led]) -> tuple[Scored, Led]:
    now = _score_more(policy, params, state, both[0], is_open(both[1]))
    return now, _lead(policy, state.controls, now)

  def go_on(both: tuple[Scored, Led]) -> tuple[Scored, Led]:
    with jax.named_scope(SCOPE):
      return jax.lax.while_loop(
        lambda both: is_open(both[1]).sum() > most_waiting, more, both
      )

  both = now, _lead(policy, state.controls, now)
  if policy.may_wait:
    # There the mere possibility costs more than waiting (docs/aot.md).
    both = jax.lax.platform_dependent(both, tpu=lambda x: x, default=go_on)
  else:
    both = go_on(both)
  return *both, state


def _lead(
  policy: policy_lib.Policy, controls: policy_lib.Controls, now: Scored
) -> Led:
  """How the race stands."""
  guidance = policy.guidance_of(controls)
  other = scoring.other_scores(policy, now.race.scores, now.eta, guidance)
  return Led(*race_lib.lead(guidance, now.race, other))


def _score_more(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  now: Scored,
  is_open: Array,
) -> Scored:
  """A further pass."""
  rows, num = subset.few(is_open), 2 * policy.num_scored
  cache = cache_lib.each(
    lambda cache: cache_lib.map_rows(cache, rows.take), state.caches["value"]
  )
  own, controls, position = rows.take((now, state.controls, state.position))
  columns = own.done[:, None] + jnp.arange(num)[None]
  leaves, told = jax.tree.map(
    lambda x: jnp.take_along_axis(x, columns, axis=1, mode="clip"),
    (own.candidates, own.told),
  )
  values = scoring.more_values(policy, params, position, leaves, told, cache)
  scores = policy.guidance_of(controls).scores(values, own.eta)
  needed = jnp.where(rows.take(is_open), own.race.needed(num), 0)
  more = own.replace(
    race=own.race.add(scores),
    done=own.done + num,
    needed=own.needed + needed,
  )
  return rows.put(now, more)
