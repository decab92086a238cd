"""The matrix of docs/reliability.md: every fault in every stage.

One run is disturbed in one stage after the other and started again each time;
it must end with the report of a run that nobody disturbed, and make nothing
twice that was finished. The whole matrix:

  python -m pytest -n0 -m slow tests/integration/test_faults.py
"""

import pathlib

import pytest
import test_gsm8k
from oracles import commands

STAGES = (
  *("pretrain", "collect_1", "train_1", "collect_2", "train_2"),
  *("baseline_dpo", "baseline_ppo", "evaluate"),
)
TRAINING = ("pretrain", "train_1", "train_2", "baseline_dpo", "baseline_ppo")
GRADING = ("collect_1", "collect_2", "baseline_ppo", "evaluate")
AGAIN = "run the same command again"
# Exit code, and what the last line says; a killed process says nothing.
ENDS = {
  "kill -9": (-9, "FAULT"),
  "SIGTERM": (75, AGAIN),
  "Ctrl-C": (130, AGAIN),
  "disk full": (2, "No space left on device"),
  "read-only": (2, "Read-only file system"),
  "truncated": (-9, "FAULT"),
  "bit flipped": (-9, "FAULT"),
  "NaN": (2, "nan, expected a finite number; lower"),
}
# Every fault once, in a run that `make test` has time for.
DIAGONAL = {
  "pretrain": "truncated",
  "collect_1": "kill -9",
  "train_1": "bit flipped",
  "collect_2": "Ctrl-C",
  "train_2": "SIGTERM",
  "baseline_dpo": "disk full",
  "baseline_ppo": "read-only",
  "evaluate": "kill -9",
}


def start(workdir, *stage_and_fault):
  """Exit code and complaints of a run, disturbed or not."""
  env = commands.environment(pathlib.Path(__file__).parent)
  done = commands.run("faults", workdir, *stage_and_fault, env=env)
  return {"code": done.returncode, "said": done.stderr}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("faults") / "run"
  done = start(workdir)
  assert done["code"] == 0, done["said"]
  return workdir


def finished(workdir):
  """Marks of the stages that are done, with the time of their making."""
  return {f: f.stat().st_mtime_ns for f in workdir.glob("stages/*.json")}


def check_end(done, fault):
  """One clear line, no traceback."""
  code, says = ENDS[fault]
  assert done["code"] == code, done["said"]
  assert "Traceback" not in done["said"], done["said"]
  assert says in done["said"].splitlines()[-1], done["said"]


def check_chain(undisturbed, workdir, chain):
  """Disturbs a run in each of the stages, and lets it end."""
  workdir.parent.mkdir(exist_ok=True)
  before = {}
  for stage, fault in chain.items():
    done = start(workdir, stage, fault)
    assert "FAULT in " + stage in done["said"], done["said"]
    check_end(done, fault)
    after = finished(workdir)
    assert before.items() <= after.items(), "made what was there"
    before = after
  done = start(workdir)
  assert done["code"] == 0 and "Traceback" not in done["said"], done["said"]
  assert before.items() <= finished(workdir).items(), "made what was there"
  assert test_gsm8k.rows_of(workdir) == test_gsm8k.rows_of(undisturbed)


@pytest.mark.slow
def test_every_fault_once(undisturbed, tmp_path):
  check_chain(undisturbed, tmp_path / "run", DIAGONAL)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ENDS)
def test_a_fault_in_every_stage(undisturbed, tmp_path, fault):
  stages = TRAINING if fault == "NaN" else STAGES
  check_chain(undisturbed, tmp_path / "run", dict.fromkeys(stages, fault))


@pytest.mark.slow
@pytest.mark.parametrize("stage", GRADING)
def test_a_worker_killed_while_busy_changes_nothing(
  undisturbed, tmp_path, stage
):
  done = start(tmp_path / "run", stage, "worker killed")
  assert done["code"] == 0 and "Traceback" not in done["said"], done["said"]
  assert "FAULT in " + stage in done["said"]
  assert test_gsm8k.rows_of(tmp_path / "run") == test_gsm8k.rows_of(undisturbed)
