"""Curves of all that a run has trained."""

import types

import pytest
from oracles import buckets
from tensorboardX import SummaryWriter

from qsharp_jax.core import places
from qsharp_jax.pipeline import curves, paths


@pytest.mark.parametrize("is_bucket", [False, True], ids=["disk", "bucket"])
def test_rounds_and_tuned_policies_by_name_and_what_is_gone_left_out(
  is_bucket, tmp_path, monkeypatch
):
  root = tmp_path
  if is_bucket:
    tmp_path = buckets.use(tmp_path / "cloud", monkeypatch) / "run"
    root = places.path("gs://bucket/run")
  found = types.SimpleNamespace(
    paths=paths.RunPaths(root), rounds=types.SimpleNamespace(num_rounds=2)
  )
  assert curves.of_run(found) == []
  for name in ("round_2", "baselines/rto/dpo", "reference"):
    with SummaryWriter(str(tmp_path / name / "events")) as writer:
      for step in range(1, 401):
        writer.add_scalar("loss", 1.0, step)
  shown = curves.of_run(found)
  assert [own["name"] for own in shown] == ["reference", "round 2", "rto/dpo"]
  steps, numbers = shown[0]["numbers"]["loss"]
  assert (len(steps), steps[-1], set(numbers)) == (200, 400, {1.0})
