"""What the experiment measures: each study returns plain rows or curves."""

import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from qsharp_jax.tabular import learn, learners, solve
from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular.learners import Learner
from qsharp_jax.tabular.mdp import MDP
from qsharp_jax.tabular.solve import Laws

ETA = 0.1  # of all that is learnt, in reward units
ARM_VALUES = (0.38, 0.44, 0.5, 0.56, 0.62)
SPREADS = (0.0, 0.15, 0.25, 0.5)
CD_ETAS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
_METHODS = {"qsharp": solve.qsharp, "cd": solve.cd}
_COLUMNS = ("p_left", "reward", "kl", "objective", "gap")
_NUM_WIN_PROBS = 32


def tree_rows(etas: Sequence[float] = (0.1, 1.0)) -> list[dict]:
  """Q# and CD with exact laws on the tree, one row for each eta and method."""
  mdp = mdp_lib.tree()
  exact = solve.exact_laws(mdp)

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
  """Q# and CD with exact laws on random trees of depth and branching 3."""

  @jax.jit
  def gaps(mdp: MDP, exact: Laws):
    root = solve.soft_values(mdp, eta=ETA)[1][0]
    policies = [f(mdp, exact, eta=ETA) for f in _METHODS.values()]
    return [root - solve.evaluate(mdp, p, eta=ETA).objective for p in policies]

  found = []
  for i in range(num):
    mdp = mdp_lib.random_tree(seed + i, depth=3, branching=3)
    found.append(jax.device_get(gaps(mdp, solve.exact_laws(mdp))))
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
  exact = solve.exact_laws(tree)
  win_probs = [0.05, *np.geomspace(0.001, 0.9, _NUM_WIN_PROBS - 1)]
  trees = [mdp_lib.tree(win_prob=p) for p in win_probs]
  tokens = mdp_lib.tokens(
    lambda t: float(len(set(t)) == 3), vocab_size=3, horizon=3, seed=seed
  )
  exact_tokens = solve.exact_laws(tokens)
  run = lambda *case, policy_fn=solve.qsharp: sub_optimality(
    *case,
    num_rounds=num_rounds,
    num_seeds=num_seeds,
    seed=seed,
    policy_fn=policy_fn,
  )
  counts = learners.counts(exact.log_probs.shape)
  return {
    "tree, counts": run(tree, exact, counts),
    "tree, Vovk": run(tree, exact, finite_class(trees, exact.atoms)),
    "tree, gradient": run(tree, exact, _gradient(exact)),
    "tree, CD counts": run(tree, exact, counts, policy_fn=solve.cd),
    "tokens, counts": run(
      tokens, exact_tokens, learners.counts(exact_tokens.log_probs.shape)
    ),
    "tokens, gradient": run(tokens, exact_tokens, _gradient(exact_tokens)),
  }


def second_order(num_rounds: int, num_seeds: int, seed: int) -> list[dict]:
  """Learning arms of equal soft values and growing variance.

  The finite class holds every order of the arms' values, the true one among
  them.

  Returns:
    For each spread of the rewards: the greatest squared coefficient of
    variation of exp(Z* / eta), and curves [seeds, rounds] by learner.
  """
  studies = []
  for spread in SPREADS:
    family = [
      mdp_lib.arms(values, spread=spread, eta=ETA)
      for values in itertools.permutations(ARM_VALUES)
    ]
    exact = solve.exact_laws(family[0])
    choices = {
      "counts": learners.counts(exact.log_probs.shape),
      "Vovk": finite_class(family, exact.atoms),
    }
    curves = {
      name: sub_optimality(
        family[0],
        exact,
        learner,
        num_rounds=num_rounds,
        num_seeds=num_seeds,
        seed=seed,
      )
      for name, learner in choices.items()
    }
    studies.append(
      {"spread": spread, "cv2": squared_variation(exact), "curves": curves}
    )
  return studies


def sub_optimality(
  mdp: MDP,
  exact: Laws,
  learner: Learner,
  *,
  num_rounds: int,
  num_seeds: int,
  seed: int,
  policy_fn: Callable[..., jax.Array] = solve.qsharp,
) -> np.ndarray:
  """Sub-optimality of the policy of every round. [seeds, rounds], float64."""
  run = lambda key: learn.learn(
    mdp,
    exact.atoms,
    learner,
    key,
    eta=ETA,
    num_rounds=num_rounds,
    policy_fn=policy_fn,
  )
  keys = jax.random.split(jax.random.key(seed), num_seeds)
  gaps = jax.jit(jax.vmap(lambda key: run(key).sub_optimality))(keys)
  return np.asarray(gaps, np.float64)


def finite_class(family: Sequence[MDP], atoms: np.ndarray) -> Learner:
  """Vovk's aggregation of the exact laws of a family of MDPs."""
  return learners.vovk(
    np.stack([solve.exact_laws(mdp, atoms).log_probs for mdp in family])
  )


def squared_variation(exact: Laws) -> float:
  """Greatest Var(exp(Z / eta)) / E[exp(Z / eta)]^2 of the root's choices."""
  probs, tilts = np.exp(exact.log_probs[0]), np.exp(exact.atoms / ETA)
  relative = tilts / (probs @ tilts)[:, None]
  return float((probs * (relative - 1) ** 2).sum(-1).max())


def cumulative(gaps: np.ndarray, num_rounds: int) -> tuple[float, float]:
  """Mean over seeds of the sum of the first rounds, and its standard error."""
  sums = gaps[:, :num_rounds].sum(-1)
  error = sums.std(ddof=1) / math.sqrt(len(sums)) if len(sums) > 1 else math.nan
  return float(sums.mean()), float(error)


def _gradient(exact: Laws) -> Learner:
  return learners.gradient(exact.log_probs.shape, optax.adam(0.05), num_steps=4)
