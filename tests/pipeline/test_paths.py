"""A run's directory as WORKSPACE.md draws it."""

import pathlib

from qsharp_jax.pipeline import paths

ROOT = pathlib.Path("runs/mine")


def test_every_place_is_where_the_map_has_it():
  run = paths.RunPaths(ROOT)
  found = [
    *(run.reference, run.reference_model, run.value_start, run.outcome),
    *(run.round(1), run.rollouts(1), run.value(2), run.value_metrics(12)),
    *(run.baseline("dpo"), run.samples("test", "cd-eta0.1-round2")),
  ]
  assert [str(path.relative_to(ROOT)) for path in found] == [
    *("reference", "reference/model", "value_start", "outcome"),
    *("round_1", "round_1/rollouts", "round_2/value"),
    *("round_12/value_metrics.json", "baselines/dpo"),
    "evaluation/test/cd-eta0.1-round2",
  ]
