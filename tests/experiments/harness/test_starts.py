"""A run's config with the models in it that the run makes itself."""

import pathlib

import pytest

from experiments.configs import gsm8k, star_graph
from experiments.harness import starts
from qsharp_jax import pipeline, training

PATHS = pipeline.RunPaths(pathlib.Path("/runs/mine"))


@pytest.mark.parametrize(
  ("config", "reference", "start"),
  [
    (
      gsm8k.get_config("tiny"),
      *("/runs/mine/reference/model", "/runs/mine/value_start"),
    ),
    (gsm8k.get_config("tiny_q"), "/runs/mine/reference/model", ""),
    (
      star_graph.get_config("tiny"),
      *("/runs/mine/reference/model", "/runs/mine/value_start"),
    ),
    (
      gsm8k.get_config("llama3_8b"),
      "meta-llama/Meta-Llama-3-8B-Instruct",
      "meta-llama/Llama-3.2-1B-Instruct",
    ),
  ],
)
def test_the_config_stays_and_its_copy_names_the_models(
  config, reference, start
):
  before = config.to_dict()
  found = starts.resolved(config, PATHS)
  assert config.to_dict() == before
  assert (found.reference, found.value.start) == (reference, start)
  before["reference"], before["value"]["start"] = reference, start
  assert found.to_dict() == before


def test_a_reference_that_diverged_leaves_nothing_to_be_bound_to(tmp_path):
  directory = tmp_path / "run" / "reference"
  stage = lambda rate: pipeline.stage.Stage(
    "pretrain", given={"learning_rate": rate}, outputs=(directory,)
  )

  def begin(rate, error=None):
    workdir = pipeline.Workdir(tmp_path / "run", {})
    with (
      workdir.stages([stage(rate)]) as due,
      starts.forgotten_if_diverged(directory),
    ):
      directory.mkdir(parents=True, exist_ok=True)
      (directory / "checkpoint").touch()
      if error:
        raise error
    return due

  with pytest.raises(training.Diverged):
    begin(1e30, training.Diverged("step 3 has loss nan"))
  assert not directory.exists()
  assert begin(1e-3) == ["pretrain"]
  assert begin(1e-3) == [] and (directory / "checkpoint").exists()
