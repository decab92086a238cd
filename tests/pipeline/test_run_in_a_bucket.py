"""Algorithm 1 in a bucket: interrupted and taken up again, as on a disk."""

import dataclasses

import numpy as np
import pytest
from oracles import buckets, micro_runs

from qsharp_jax import pipeline
from qsharp_jax.rollout import store
from qsharp_jax.training import fit as fit_lib


class Killed(Exception):
  """Stands for the end of the machine."""


def in_bucket(directory):
  run = micro_runs.learning(directory)
  return dataclasses.replace(
    run, workdir=pipeline.Workdir("gs://bucket/runs/one", {})
  )


def test_it_ends_as_on_a_disk(learnt, tmp_path, monkeypatch):
  bucket = buckets.use(tmp_path / "cloud", monkeypatch)
  real, calls = fit_lib.fit, []

  def fit(*arguments, **named):
    calls.append(arguments)
    if len(calls) == 2:
      raise Killed
    return real(*arguments, **named)

  monkeypatch.setattr(fit_lib, "fit", fit)
  with pytest.raises(Killed):
    pipeline.learn(in_bucket(tmp_path))
  stages = {path.name for path in (bucket / "runs/one/stages").iterdir()}
  assert {"train_1.json", "collect_2.json", "train_2.begun"} <= stages
  pipeline.learn(in_bucket(tmp_path))
  assert len(calls) == 3  # the first fit was not done again
  for i in (1, 2):
    name = f"round_{i}/value/model.safetensors"
    there = (bucket / "runs/one" / name).read_bytes()
    assert there == (learnt / "run" / name).read_bytes()
    rollouts = store.read(f"gs://bucket/runs/one/round_{i}/rollouts")
    here = store.read(learnt / "run" / f"round_{i}" / "rollouts")
    np.testing.assert_array_equal(rollouts.label, here.label)
    assert rollouts.text.tolist() == here.text.tolist()
  assert not (tmp_path / "gs:").exists()
