"""Lines of star graphs as somebody else would write them: numpy, 1-based."""

import numpy as np


def lines(num, *, arms, nodes_per_arm, highest, seed, is_turned=False):
  """Text lines; `is_turned` writes about half of the edges end first."""
  rng = np.random.default_rng(seed)
  outer = nodes_per_arm - 1
  found = []
  for _ in range(num):
    names = 1 + rng.permutation(highest)[: arms * outer + 1]
    centre, table = names[-1], names[:-1].reshape(arms, outer)
    full = np.concatenate([np.full((arms, 1), centre), table], axis=1)
    pairs = np.stack([full[:, :-1], full[:, 1:]], axis=-1).reshape(-1, 2)
    pairs = pairs[rng.permutation(len(pairs))]
    if is_turned:
      turned = rng.random(len(pairs)) < 0.5
      pairs[turned] = pairs[turned][:, ::-1]
    right = full[rng.integers(arms)]
    graph = "|".join(f"{a},{b}" for a, b in pairs)
    path = ",".join(str(n) for n in right)
    found.append(f"{graph}/{centre},{right[-1]}={path}")
  return found
