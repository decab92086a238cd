"""The directory of a run: one config, stages done once."""

import json
import os

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import Workdir

CONFIG = {"seed": 0, "fit": {"rate": 0.1, "etas": (0.1, 0.2)}}


def begun(path, config=CONFIG):
  workdir = Workdir(path, config)
  with workdir.stage("first"):
    pass
  return workdir


def test_opens_again_with_the_same_config(tmp_path):
  begun(tmp_path / "run")
  assert Workdir(str(tmp_path / "run"), CONFIG).path == tmp_path / "run"


def test_refuses_another_config_naming_what_differs(tmp_path):
  begun(tmp_path)
  other = {"seed": 1, "fit": {"rate": 0.1, "etas": (0.1,)}, "new": True}
  with pytest.raises(InputError) as error:
    Workdir(tmp_path, other)
  says = str(error.value)
  for piece in (
    "fit.etas [0.1, 0.2] there, [0.1] here",
    "new None there, True here",
    "seed 0 there, 1 here",
    "--workdir",
  ):
    assert piece in says
  assert "fit.rate" not in says and "\n" not in says


def test_says_when_more_differs_than_it_lists(tmp_path):
  begun(tmp_path, {str(i): i for i in range(8)})
  with pytest.raises(InputError, match="…"):
    Workdir(tmp_path, {str(i): -1 for i in range(8)})


@pytest.mark.parametrize("content", ["{", "[1, 2]"])
def test_refuses_a_config_file_that_is_none_of_ours(tmp_path, content):
  (tmp_path / "config.json").write_text(content)
  with pytest.raises(InputError, match="another config"):
    Workdir(tmp_path, CONFIG)


def test_refuses_a_directory_of_something_else(tmp_path):
  (tmp_path / "thesis.tex").touch()
  with pytest.raises(InputError, match="holds no run.*--workdir"):
    Workdir(tmp_path, CONFIG)
  assert os.listdir(tmp_path) == ["thesis.tex"]


def test_refuses_a_file(tmp_path):
  (tmp_path / "run").touch()
  with pytest.raises(InputError, match="holds no run"):
    Workdir(tmp_path / "run", CONFIG)


def test_nothing_is_written_before_the_first_stage(tmp_path):
  Workdir(tmp_path / "run", CONFIG)
  assert not (tmp_path / "run").exists()
  # Inputs were wrong, the next attempt has other flags.
  other = {"seed": 1}
  begun(tmp_path / "run", other)
  assert json.loads((tmp_path / "run" / "config.json").read_text()) == other


def test_runs_side_by_side_share_compiled_programs(tmp_path):
  first, second = Workdir(tmp_path / "a", CONFIG), Workdir(tmp_path / "b", {})
  assert first.compiled == second.compiled
  assert tmp_path / "a" not in first.compiled.parents


def test_a_stage_is_done_once(tmp_path):
  workdir = Workdir(tmp_path, CONFIG)
  for expected in (True, False, False):
    with workdir.stage("collect_1") as is_due:
      assert is_due is expected
  with Workdir(tmp_path, CONFIG).stage("collect_1") as is_due:
    assert not is_due


def test_a_stage_that_raised_is_still_due(tmp_path):
  workdir = Workdir(tmp_path, CONFIG)
  with pytest.raises(RuntimeError, match="full"), workdir.stage("train_1"):
    raise RuntimeError("disk full")
  assert workdir.seconds() == {}
  with workdir.stage("train_1") as is_due:
    assert is_due


def test_a_done_stage_does_not_hide_what_is_raised_inside(tmp_path):
  workdir = begun(tmp_path)
  with pytest.raises(RuntimeError, match="full"), workdir.stage("first"):
    raise RuntimeError("disk full")


def test_seconds_of_finished_stages_in_their_order(tmp_path, monkeypatch):
  clock = iter([10.0, 12.5, 20.0, 20.25])
  monkeypatch.setattr("time.monotonic", lambda: next(clock))
  workdir = Workdir(tmp_path, CONFIG)
  for name in ("zeta", "alpha"):
    with workdir.stage(name):
      pass
  assert list(workdir.seconds().items()) == [("zeta", 2.5), ("alpha", 0.25)]
