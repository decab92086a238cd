"""Experiments in several processes of this machine."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from oracles import commands

# A reference that hardly learns; an odd number of test questions, so that one
# process has a row of padding.
FLAGS = {
  "pretrain.num_questions": 600,
  "pretrain.num_steps": 1,
  "pretrain.max_value": 4,
  "pretrain.vocab_size": 300,
  "pretrain.width": 32,
  "pretrain.num_layers": 1,
  "pretrain.num_heads": 2,
  "pretrain.num_epochs": 1,
  "pretrain.batch_size": 32,
  "pretrain.max_length": 128,
  "pretrain.learning_rate": 0.01,
  "pretrain.warmup_steps": 2,
  "data.num_train": 30,
  "data.num_validation": 6,
  "data.num_test": 7,
  "sampling.batch_size": 4,
  "sampling.prompts_per_refill": 2,
  "sampling.max_new_tokens": 8,
  "sampling.prompt_bucket": 64,
  "sampling.num_candidates": 4,
  "reward": "launch_rewards:length",
  "rounds.num_rounds": 1,
  "rounds.num_samples": 4,
  "fit.batch_size": 8,
  "fit.num_epochs": 4,
  "fit.checkpoint_every": 3,
  "fit.max_length": 128,
  "evaluation.methods": ("qsharp",),
  "evaluation.etas": (0.1,),
  "evaluation.num_samples": 2,
  "evaluation.num_reference_samples": 4,
}


def command(workdir, *, num_processes, num_devices, restarts=0):
  return [
    *(sys.executable, "-m", "launch.local"),
    f"--num_processes={num_processes}",
    f"--devices_per_process={num_devices}",
    f"--max_restarts={restarts}",
    *("--", "experiments.gsm8k", f"--workdir={workdir}"),
    *(f"--config.{name}={value}" for name, value in FLAGS.items()),
  ]


def start(argv, log):
  """The command in the background; it finds the reward of these tests."""
  env = commands.environment(pathlib.Path(__file__).parent)
  return subprocess.Popen(
    argv,
    cwd=commands.ROOT,
    # Sums are split by threads: as many for one device of two as for one alone.
    env=env | {"NPROC": "2"},
    stdout=log.open("w"),
    stderr=subprocess.STDOUT,
  )


def wait_for_training(process, log, workdir):
  """Returns once a checkpoint of the value model is there."""
  file = workdir / "round_1" / "checkpoints" / "3"
  while not file.exists():
    assert process.poll() is None, log.read_text()
    time.sleep(0.05)


def report(workdir):
  """The report without its times."""
  drop = lambda tree: (
    {k: drop(v) for k, v in tree.items() if "second" not in k}
    if isinstance(tree, dict)
    else [drop(v) for v in tree]
    if isinstance(tree, list)
    else tree
  )
  return drop(json.loads((workdir / "report.json").read_text()))


@pytest.fixture(scope="module", autouse=True)
def waiting(tmp_path_factory):
  """A process that waits in vain for others, while tests go on; its workdir."""
  workdir = tmp_path_factory.mktemp("waiting") / "run"
  process = commands.start(
    "experiments.gsm8k",
    f"--workdir={workdir}",
    *("--coordinator_address=127.0.0.1:1", "--num_processes=3"),
    *("--process_id=1", "--start_timeout=10"),
  )
  return process, workdir


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """Log and report of one process with two devices, pre-empted on the way."""
  folder = tmp_path_factory.mktemp("alone")
  argv = command(folder / "run", num_processes=1, num_devices=2)
  log = folder / "first.log"
  process = start(argv, log)
  wait_for_training(process, log, folder / "run")
  process.send_signal(signal.SIGTERM)
  assert process.wait() == 75, log.read_text()
  again = folder / "second.log"
  assert start(argv, again).wait() == 0, again.read_text()
  return log.read_text(), report(folder / "run")


def test_preempted_run_saves_what_it_has(alone):
  log, found = alone
  assert re.search(r"pre-empted: saved after step \d+; run the same", log)
  assert [row["method"] for row in found["rows"]] == ["reference", "qsharp"]


def test_two_processes_report_what_one_does_though_one_was_killed(
  alone, tmp_path
):
  argv = command(tmp_path / "run", num_processes=2, num_devices=1, restarts=1)
  log = tmp_path / "log"
  process = start(argv, log)
  wait_for_training(process, log, tmp_path / "run")
  victim = subprocess.run(
    ["pgrep", "-f", f"{tmp_path}/run.*--process_id=1"],
    capture_output=True,
    text=True,
    check=True,
  )
  os.kill(int(victim.stdout.split()[0]), signal.SIGKILL)
  assert process.wait() == 0, log.read_text()
  said = log.read_text()
  assert "process 1 of 2 ended with signal 9 (SIGKILL)" in said
  assert "starting all processes again" in said
  assert report(tmp_path / "run") == alone[1]


def test_whoever_does_not_start_is_named(waiting):
  process, workdir = waiting
  assert process.wait() == 1
  _, complaint = process.said()
  (line,) = [x for x in complaint.splitlines() if x.startswith("error:")]
  assert "missing: 0, 2 of 3; started: 1 on " in line
  assert not list((workdir / "processes").iterdir())


@pytest.mark.parametrize(
  "flags, said",
  [
    (["--num_processes=2"], "go together; got [None, 2, None]"),
    (
      [
        *("--num_processes=2", "--process_id=2"),
        "--coordinator_address=127.0.0.1:1",
      ],
      "--process_id is 2; expected 0 to 1",
    ),
  ],
)
def test_flags_that_do_not_go_together(tmp_path, flags, said):
  done = commands.run("experiments.gsm8k", f"--workdir={tmp_path}", *flags)
  assert done.returncode == 2
  assert said in done.stderr


def test_dry_run_prints_the_command_of_each_process():
  argv = command("runs/x", num_processes=2, num_devices=1)
  argv.insert(3, "--dry_run")
  done = subprocess.run(
    argv, cwd=commands.ROOT, capture_output=True, text=True, check=True
  )
  first, second = done.stdout.splitlines()
  assert "-m experiments.gsm8k --workdir=runs/x" in first
  assert "'--config.evaluation.etas=(0.1,)'" in first
  assert first.endswith("--num_processes=2 --process_id=0")
  assert second.endswith("--num_processes=2 --process_id=1")
