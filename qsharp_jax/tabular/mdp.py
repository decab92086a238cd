"""Finite deterministic MDPs, small enough to be solved exactly."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from flax import struct

from qsharp_jax.core.errors import InputError


@struct.dataclass
class MDP:
  """States and actions in tables; float64 in numpy, float32 once in jax.

  State 0 is the root. The last state is the end: it leads to itself and pays
  nothing. Chance is a choice of the reference, since transitions have none.
  """

  ref_log_probs: np.ndarray  # [S, A] nats, -inf where never chosen
  rewards: np.ndarray  # [S, A] reward of the choice
  next_states: np.ndarray  # [S, A] int32
  horizon: int = struct.field(pytree_node=False)  # choices on the longest path


def tree(*, sure: float = 0.1, win_prob: float = 0.05) -> MDP:
  """The smallest tree on which the mean misleads.

  The reference goes left or right with probability 1/2. Left pays `sure`.
  Right leads to a second choice of the reference, win 1 or lose.

  Args:
    sure: reward of left.
    win_prob: probability that the reference wins on the right, in (0, 1).
  """
  return MDP(
    ref_log_probs=np.log(
      [[0.5, 0.5], [1 - win_prob, win_prob], [0.5, 0.5]], dtype=np.float64
    ),
    rewards=np.array([[sure, 0.0], [0.0, 1.0], [0.0, 0.0]]),
    next_states=np.array([[2, 1], [2, 2], [2, 2]], np.int32),
    horizon=2,
  )


def arms(values: Sequence[float], *, spread: float, eta: float) -> MDP:
  """Arms whose soft values are the same whatever their variance.

  The first choice is the arm. With spread 0 arm a pays values[a]. Otherwise
  the reference's second choice pays 0.5 + spread or 0.5 - spread, with that
  probability under which eta ln E[exp(R / eta)] is values[a] again. So Q*, V*
  and the optimal first choice do not depend on the spread; what must be learnt
  to find them does.

  Args:
    values: Q* of every arm, in reward units.
    spread: 0, or greater than every |values[a] - 0.5|, in reward units.
    eta: KL weight for which the values hold.

  Raises:
    InputError: a value lies outside of what the two rewards can mix to.
  """
  values = np.asarray(values, np.float64)
  if spread and not (abs(values - 0.5) < spread).all():
    raise InputError(
      f"got spread {spread} and values {values.tolist()}, expected every value "
      "within spread of 0.5: widen the spread"
    )
  num_arms = len(values)
  end = num_arms + 1
  ref = np.full((end + 1, num_arms), -np.inf)
  rewards = np.zeros((end + 1, num_arms))
  win = np.full(num_arms, 0.5)
  if spread:
    win = np.expm1((values - 0.5 + spread) / eta) / np.expm1(2 * spread / eta)
  ref[0] = ref[end] = -math.log(num_arms)
  ref[1:end, 0], ref[1:end, 1] = np.log1p(-win), np.log(win)
  middle = np.full(num_arms, 0.5) if spread else values
  rewards[1:end, 0], rewards[1:end, 1] = middle - spread, middle + spread
  next_states = np.full((end + 1, num_arms), end, np.int32)
  next_states[0] = 1 + np.arange(num_arms)
  return MDP(ref, rewards, next_states, horizon=2)


def tokens(
  reward_fn: Callable[[tuple[int, ...]], float],
  *,
  vocab_size: int,
  horizon: int,
  seed: int = 0,
) -> MDP:
  """Token sequences of one length under a random reference.

  Args:
    reward_fn: reward of a whole sequence of tokens, paid with the last one.
    vocab_size: V, the number of actions.
    horizon: tokens of a sequence.
    seed: Seed of the reference, whose next-token distributions are uniform on
      the simplex.

  Raises:
    InputError: there is no token or no position.
  """
  if vocab_size < 1 or horizon < 1:
    raise InputError(
      f"got vocab_size={vocab_size} and horizon={horizon}, expected both at "
      "least 1: raise them"
    )
  prefixes = [
    prefix
    for length in range(horizon)
    for prefix in itertools.product(range(vocab_size), repeat=length)
  ]
  index = {prefix: state for state, prefix in enumerate(prefixes)}
  end = len(prefixes)
  shape = (end + 1, vocab_size)
  rewards, next_states = np.zeros(shape), np.full(shape, end, np.int32)
  for prefix, token in itertools.product(prefixes, range(vocab_size)):
    longer = (*prefix, token)
    if len(longer) < horizon:
      next_states[index[prefix], token] = index[longer]
    else:
      rewards[index[prefix], token] = reward_fn(longer)
  rng = np.random.default_rng(seed)
  ref = np.log(rng.dirichlet(np.ones(vocab_size), end + 1))
  return MDP(ref, rewards, next_states, horizon)


def random_tree(seed: int, *, depth: int, branching: int) -> MDP:
  """A complete tree with a random reference and leaves paying in [0, 1]."""
  rng = np.random.default_rng([seed, 1])
  return tokens(
    lambda _: rng.uniform(), vocab_size=branching, horizon=depth, seed=seed
  )
