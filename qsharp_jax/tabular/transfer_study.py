"""How far Transfer Q* stays from the optimum, beside Q# and CD; all exact."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax.core import seeds
from qsharp_jax.core.arrays import Array
from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular import solve, transfer
from qsharp_jax.tabular.mdp import MDP

ETA = 0.1  # of the decoding and its objective, in reward units
BETAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 10.0)  # of the baselines
_VOCAB, _HORIZON = 3, 4
_AGREEMENT = 0.5  # correlation of the two rewards
_SPREAD = 0.3  # of the rewards of whole sequences, in reward units


def study(num: int, seed: int, betas: Sequence[float] = BETAS) -> dict:
  """Mean gaps to V* over random token MDPs with two rewards.

  Returns:
    `rows`, one for each KL weight of the baseline: the gap of Transfer Q*
    direct from a baseline aligned to the reward that counts, direct and
    indirect from one aligned to the other reward, each with the baseline
    tilted, and direct and indirect with the reference tilted instead; and the
    gaps of Q#, CD and the reference, which have no baseline.
  """

  @jax.jit
  def gaps(mdp: MDP, other: Array, beta: Array) -> dict[str, Array]:
    def gap(log_probs):
      return solve.sub_optimality(mdp, log_probs, eta=ETA)

    return {name: gap(p) for name, p in _policies(mdp, other, beta).items()}

  found = [
    [jax.device_get(gaps(mdp, other, np.float32(beta))) for beta in betas]
    for mdp, other in _mdps(num, seed)
  ]
  rows = [
    {"beta": beta}
    | {
      name: float(np.mean([f[i][name] for f in found])) for name in found[0][0]
    }
    for i, beta in enumerate(betas)
  ]
  without = [_without_baseline(mdp) for mdp, _ in _mdps(num, seed)]
  return {
    "num": num,
    "eta": ETA,
    "agreement": _AGREEMENT,
    "rows": rows,
    "without": {
      name: float(np.mean([w[name] for w in without])) for name in without[0]
    },
  }


def _policies(mdp: MDP, other: Array, beta: Array) -> dict[str, Array]:
  """Policies of Transfer Q* from baselines aligned at a KL weight."""
  reference = jnp.asarray(mdp.ref_log_probs, jnp.float32)
  right = transfer.baseline(mdp, mdp.rewards, beta=beta)
  wrong = transfer.baseline(mdp, other, beta=beta)
  direct = transfer.direct_values(mdp, right)
  misled = transfer.direct_values(mdp, wrong)
  indirect = transfer.indirect_values(mdp, wrong, other, beta=beta)

  def make(base, q_values):
    return transfer.policy(base, q_values, eta=ETA)

  return {
    "direct": make(right, direct),
    "direct_wrong": make(wrong, misled),
    "indirect": make(wrong, indirect),
    "direct_on_reference": make(reference, direct),
    "direct_wrong_on_reference": make(reference, misled),
    "indirect_on_reference": make(reference, indirect),
  }


def _without_baseline(mdp: MDP) -> dict[str, float]:
  exact = solve.exact_distributions(mdp)

  def gap(p):
    return float(solve.sub_optimality(mdp, p, eta=ETA))

  makers: dict[str, Callable] = {"qsharp": solve.qsharp, "cd": solve.cd}
  found = {name: gap(f(mdp, exact, eta=ETA)) for name, f in makers.items()}
  reference = jnp.asarray(mdp.ref_log_probs, jnp.float32)
  return found | {"reference": gap(reference)}


def _mdps(num: int, seed: int) -> list[tuple[MDP, np.ndarray]]:
  """Token MDPs with a normal reward for each sequence, and another reward."""
  found = []
  for i in range(num):
    own = seeds.stable_seed(seed, "transfer", i)
    rng = np.random.default_rng(own)
    first, second = rng.normal(0, _SPREAD, (2, *(_VOCAB,) * _HORIZON))
    mixed = _AGREEMENT * first + np.sqrt(1 - _AGREEMENT**2) * second

    def make(table, own=own):
      return mdp_lib.tokens(
        lambda t: float(table[t]),
        vocab_size=_VOCAB,
        horizon=_HORIZON,
        seed=own,
      )

    mdp = make(first)
    found.append((mdp, make(mixed).rewards))
  return found
