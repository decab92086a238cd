"""What the experiment measures: each study returns plain rows or curves."""

import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from qsharp_jax.core import seeds
from qsharp_jax.tabular import learn, learners, solve
from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular.learners import Learner
from qsharp_jax.tabular.mdp import MDP
from qsharp_jax.tabular.solve import ReturnDistributions

ETA = 0.1  # of all that is learnt, in reward units
ARM_VALUES = (0.38, 0.44, 0.5, 0.56, 0.62)
SPREADS = (0.0, 0.15, 0.25, 0.5)
CD_ETAS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
LEARNERS = ("counts", "Vovk")
_METHODS = {"qsharp": solve.qsharp, "cd": solve.cd}
_COLUMNS = ("p_left", "reward", "kl", "objective", "gap")
_NUM_WIN_PROBS = 32


def tree_rows(etas: Sequence[float] = (0.1, 1.0)) -> list[dict]:
  """Exact Q# and CD on the tree, one row for each eta and method."""
  mdp = mdp_lib.tree()
  exact = solve.exact_distributions(mdp)

  @jax.jit
  def solved(eta: float) -> dict:
    q_values, values = solve.soft_values(mdp, eta=eta)
    found = {"q_right": q_values[0, 1], "v_root": values[0]}
    for method, policy_fn in _METHODS.items():
      log_probs = policy_fn(mdp, exact, eta=eta)
      found[method] = {
        "p_left": jnp.exp(log_probs[0, 0]),
        **solve.evaluate(mdp, log_probs, eta=eta)._asdict(),
        "gap": solve.sub_optimality(mdp, log_probs, eta=eta),
      }
    return found

  rows = []
  for eta in etas:
    found = jax.tree.map(float, solved(eta))
    shared = {name: found[name] for name in ("q_right", "v_root")}
    for method in _METHODS:
      own = {name: found[method][name] for name in _COLUMNS}
      rows.append({"eta": eta, "method": method, **shared, **own})
  return rows


def random_trees(num: int, seed: int) -> dict:
  """Exact Q# and CD on random trees of depth and branching 3."""

  @jax.jit
  def gaps(mdp: MDP, exact: ReturnDistributions):
    root = solve.soft_values(mdp, eta=ETA)[1][0]
    policies = [f(mdp, exact, eta=ETA) for f in _METHODS.values()]
    return [root - solve.evaluate(mdp, p, eta=ETA).objective for p in policies]

  found = []
  for i in range(num):
    own = seeds.stable_seed(seed, i)
    mdp = mdp_lib.random_tree(own, depth=3, branching=3)
    found.append(jax.device_get(gaps(mdp, solve.exact_distributions(mdp))))
  qsharp, cd = np.array(found, np.float64).T
  return {
    "num_trees": num,
    "eta": ETA,
    "qsharp_gap_max": float(abs(qsharp).max()),
    "cd_gap_mean": float(cd.mean()),
    "cd_gap_max": float(cd.max()),
  }


def cd_gaps(etas: Sequence[float] = CD_ETAS) -> list[dict]:
  """What CD with exact means leaves on the table as guidance gets stronger."""
  rows = {(row["eta"], row["method"]): row for row in tree_rows(etas)}
  return [
    {
      "eta": eta,
      "v_root": rows[eta, "cd"]["v_root"],
      "qsharp_gap": rows[eta, "qsharp"]["gap"],
      "cd_gap": rows[eta, "cd"]["gap"],
      "qsharp_reward": rows[eta, "qsharp"]["reward"],
      "cd_reward": rows[eta, "cd"]["reward"],
    }
    for eta in etas
  ]


def learning(num_rounds: int, num_seeds: int, seed: int) -> dict:
  """Curves of Algorithm 1: name -> sub-optimality [seeds, rounds].

  The finite class of the tree has 32 chances of a win, the true one among
  them. On the token MDP the reward is 1 for three different tokens.
  """
  tree = mdp_lib.tree()
  exact = solve.exact_distributions(tree)
  win_probs = [0.05, *np.geomspace(0.001, 0.9, _NUM_WIN_PROBS - 1)]
  trees = [mdp_lib.tree(win_prob=p) for p in win_probs]
  tokens = mdp_lib.tokens(
    lambda t: float(len(set(t)) == 3), vocab_size=3, horizon=3, seed=seed
  )
  of_tokens = solve.exact_distributions(tokens)
  counts = learners.counts(exact.log_probs.shape)
  vovk = learners.vovk(_log_distributions(trees, exact.atoms))
  counts_of_tokens = learners.counts(of_tokens.log_probs.shape)
  cases = {
    "tree, counts": (tree, exact.atoms, counts),
    "tree, Vovk": (tree, exact.atoms, vovk),
    "tree, gradient": (tree, exact.atoms, _gradient(exact)),
    "tree, CD counts": (tree, exact.atoms, counts, solve.cd),
    "tokens, counts": (tokens, of_tokens.atoms, counts_of_tokens),
    "tokens, gradient": (tokens, of_tokens.atoms, _gradient(of_tokens)),
  }
  keys = jax.random.split(jax.random.key(seed), num_seeds)

  def gaps(case: tuple) -> np.ndarray:
    curves = jax.jit(lambda keys: _gaps(keys, num_rounds, *case))(keys)
    return np.asarray(curves, np.float64)

  return {name: gaps(case) for name, case in cases.items()}


def second_order(num_rounds: int, num_seeds: int, seed: int) -> list[dict]:
  """Learning arms of equal soft values and growing variance.

  The finite class holds every order of the arms' values, the true one among
  them. All distributions are written on the same atoms, so that what is known
  before the first label is the same too.

  Returns:
    For each spread of the rewards: the greatest squared coefficient of
    variation of exp(Z* / eta), and curves [seeds, rounds] by learner.
  """
  orders = list(itertools.permutations(ARM_VALUES))
  families = [
    [mdp_lib.arms(values, spread=spread, eta=ETA) for values in orders]
    for spread in SPREADS
  ]
  atoms = np.unique(
    [z for f in families for z in solve.exact_distributions(f[0]).atoms]
  )
  keys = jax.random.split(jax.random.key(seed), num_seeds)

  @jax.jit  # one program for all spreads
  def gaps(mdp: MDP, hypotheses: jax.Array) -> dict:
    choices = {
      "counts": learners.counts(hypotheses.shape[1:]),
      "Vovk": learners.vovk(hypotheses),
    }

    def run(learner):
      return _gaps(keys, num_rounds, mdp, atoms, learner)

    return {name: run(learner) for name, learner in choices.items()}

  studies = []
  for spread, family in zip(SPREADS, families, strict=True):
    hypotheses = _log_distributions(family, atoms)
    curves = gaps(family[0], hypotheses)
    studies.append(
      {
        "spread": spread,
        "cv2": squared_variation(ReturnDistributions(hypotheses[0], atoms)),
        "curves": {k: np.asarray(curves[k], np.float64) for k in LEARNERS},
      }
    )
  return studies


def squared_variation(exact: ReturnDistributions) -> float:
  """Greatest Var(exp(Z / eta)) / E[exp(Z / eta)]^2 of the root's choices."""
  probs, tilts = np.exp(exact.log_probs[0]), np.exp(exact.atoms / ETA)
  relative = tilts / (probs @ tilts)[:, None]
  return float((probs * (relative - 1) ** 2).sum(-1).max())


def cumulative(gaps: np.ndarray, num_rounds: int) -> tuple[float, float]:
  """Mean over seeds of the sum of the first rounds, and its standard error."""
  sums = gaps[:, :num_rounds].sum(-1)
  error = sums.std(ddof=1) / math.sqrt(len(sums)) if len(sums) > 1 else math.nan
  return float(sums.mean()), float(error)


def _gaps(
  keys: jax.Array,
  num_rounds: int,
  mdp: MDP,
  atoms: np.ndarray,
  learner: Learner,
  policy_fn: Callable[..., jax.Array] = solve.qsharp,
) -> jax.Array:
  """Sub-optimality of the policy of every round. Shape [keys, rounds]."""

  def run(key):
    return learn.learn(
      mdp,
      atoms,
      learner,
      key,
      eta=ETA,
      num_rounds=num_rounds,
      policy_fn=policy_fn,
    )

  return jax.vmap(lambda key: run(key).sub_optimality)(keys)


def _log_distributions(family: Sequence[MDP], atoms: np.ndarray) -> np.ndarray:
  """Exact distributions of a family of MDPs. Shape [N, S, A, K]."""
  return np.stack(
    [solve.exact_distributions(mdp, atoms).log_probs for mdp in family]
  )


def _gradient(exact: ReturnDistributions) -> Learner:
  return learners.gradient(exact.log_probs.shape, optax.adam(0.05), num_steps=4)
