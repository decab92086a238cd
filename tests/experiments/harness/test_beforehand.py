"""What is refused before the first stage, where no sample is needed."""

import errno
import shutil
import types

import pytest
from oracles import micro_runs

from experiments.harness import beforehand
from qsharp_jax import data, pipeline, rewards
from qsharp_jax.core import errors, files
from qsharp_jax.finetuning import methods as finetuning_methods

SPLITS = {"train": [data.Question("1", "1 + 1?", "#### 2")]}


class _Pool:
  """Grades as it is told to."""

  def __init__(self, *grades):
    self.grades, self.asked = list(grades), None

  def grade(self, predictions, answers, *, prompts):
    self.asked = predictions, answers, prompts
    return self.grades


def test_a_reward_is_tried_on_gold_answers():
  pool = _Pool(rewards.Grade(True, "2", 1.0))
  beforehand.check_reward("strict", pool, SPLITS)
  assert pool.asked == (["#### 2"], ["#### 2"], ["1 + 1?"])


def test_a_reward_that_grades_nothing_is_refused():
  broken = rewards.Grade(False, None, 0.0, error="KeyError: 'x'")
  with pytest.raises(errors.InputError) as caught:
    beforehand.check_reward("mine:reward", _Pool(broken), SPLITS)
  said = str(caught.value)
  assert "the reward mine:reward gave no grade in a trial" in said
  assert "'#### 2'" in said and "KeyError: 'x'" in said
  # One that can say something is one that works.
  fine = rewards.Grade(False, None, 0.0)
  beforehand.check_reward("mine:reward", _Pool(broken, fine), SPLITS)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_directory_that_cannot_be_written_is_refused(
  tmp_path, monkeypatch, number
):
  workdir = pipeline.Workdir(tmp_path / "run", {})
  beforehand.check_writable(workdir)
  assert not list(workdir.path.iterdir())

  def fail(path, content):
    raise OSError(number, "No way")

  monkeypatch.setattr(files, "replace", fail)
  with pytest.raises(errors.InputError, match="cannot be written: No way"):
    beforehand.check_writable(workdir)
  # A finished run is only read.
  (workdir.path / "report.json").write_text("{}")
  beforehand.check_writable(workdir)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return micro_runs.evaluated(tmp_path_factory.mktemp("disk"), num_rounds=2)


def has(monkeypatch, free):
  usage = types.SimpleNamespace(free=free)
  monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def test_the_disk_holds_models_and_checkpoints(run, monkeypatch):
  held = sum(
    f.stat().st_size for f in run.workdir.path.rglob("*") if f.is_file()
  )
  (value,) = {
    f.stat().st_size for f in run.workdir.path.rglob("model.safetensors")
  }
  # Two rounds' values, and two states with two moments of each number: a
  # file's header comes on top.
  least = (2 + 2 * 3) * value - held
  has(monkeypatch, least)
  beforehand.check_disk(run, [])
  has(monkeypatch, int(0.8 * least))
  with pytest.raises(errors.InputError) as caught:
    beforehand.check_disk(run, [])
  assert "GB free" in str(caught.value)
  # The critic of PPO doubles what it saves.
  tuned = [finetuning_methods.make("ppo", {})]
  has(monkeypatch, least)
  with pytest.raises(errors.InputError, match="models and checkpoints need"):
    beforehand.check_disk(run, tuned)
