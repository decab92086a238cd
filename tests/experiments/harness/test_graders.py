"""Rewards of a run by name, started once."""

import pytest
from oracles import micro_runs
from oracles import reward_models as make

from experiments.configs import gsm8k
from experiments.harness import graders
from qsharp_jax import data, reward_models, rewards
from qsharp_jax.core.errors import InputError

SPLITS = {"train": [data.Question("1", "1 + 1?", "#### 2")]}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
  """The config of a run whose reward is a model."""
  config = gsm8k.get_config("local")
  directory = make.save(tmp_path_factory.mktemp("graders"))
  config.reward = f"model:{directory}"
  config.reward_max_failed_share = 0.5
  layout = micro_runs.one_device()
  return config, lambda: graders.Graders(config, SPLITS, layout)


def test_models_and_functions_are_started_by_name_once(started):
  config, start = started
  with start() as found:
    assert found.device_bytes(8) == 0
    model, strict = found.start(config.reward), found.start("strict")
    assert isinstance(model, reward_models.ModelGrader)
    assert isinstance(strict, rewards.GradingPool)
    assert found.start(config.reward) is model
    assert found.device_bytes(8) == model.device_bytes(8) > 0
    grades = [
      grader.grade(["#### 2"], ["#### 2"], prompts=["1 + 1?"])[0]
      for grader in (model, strict)
    ]
    assert grades[0].correct is None and grades[1].correct is True


def test_a_model_that_reads_no_answer_is_refused_at_once(started):
  config, _ = started
  splits = {"train": [data.Question("1", "1 + 1? " * 50, "#### 2")]}
  with graders.Graders(config, splits, micro_runs.one_device()) as found:
    with pytest.raises(InputError, match="gave no grade in a trial"):
      found.start(config.reward)


def test_no_model_is_refused(started):
  _, start = started
  with start() as found:
    with pytest.raises(InputError, match="model:no-such-place"):
      found.start("model:no-such-place+model:")
