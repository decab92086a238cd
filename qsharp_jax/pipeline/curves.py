"""Learning curves of everything that a run has trained."""

from typing import Any

from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.training import events

_MOST_POINTS = 200  # of a curve


def of_run(run: run_lib.Run) -> list[dict[str, Any]]:
  """Curves of the reference, of each round, and of fine-tuned policies.

  Returns:
    `name`, and `numbers`: steps and numbers by the name of what was logged;
    only of what has such a log, since that can be deleted.
  """
  paths = run.paths
  folders = [paths.reference, paths.outcome]
  folders += [paths.round(i + 1) for i in range(run.rounds.num_rounds)]
  # A policy's own, and of one that it is made from; a bucket has no "**".
  for pattern in ("*/events", "*/*/events"):
    tuned = paths.baseline("").glob(pattern)
    folders += sorted(folder.parent for folder in tuned)
  found = []
  for folder in folders:
    numbers = {
      name: [x.tolist() for x in events.thinned(curve, _MOST_POINTS)]
      for name, curve in events.scalars(folder / "events").items()
    }
    if numbers:
      name = str(folder.relative_to(paths.root)).removeprefix("baselines/")
      found.append({"name": name.replace("_", " "), "numbers": numbers})
  return found
