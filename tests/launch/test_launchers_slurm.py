"""launch/slurm.sbatch, with an srun that only writes down what it was told.

A real Slurm runs it in tests/integration/slurm/run.sh.
"""

import os
import shlex
import signal
import subprocess
import time

import pytest
import recorded_commands

SCRIPT = recorded_commands.ROOT / "launch/slurm.sbatch"
MODULE = [
  "experiments.gsm8k",
  "--workdir=runs/slurm",
  "--config.mesh=(2,1,1)",
  "--config.data.prompt=it's $HOME; `true` * \\n",
]
JOB = {
  "SLURM_JOB_ID": "7",
  "SLURM_NTASKS": "2",
  "SLURM_JOB_NODELIST": "node[1-2]",
  "SLURM_RESTART_COUNT": "0",
}


@pytest.fixture
def fakes(tmp_path):
  return recorded_commands.Fakes(
    tmp_path / "bin", ["srun", "scontrol", "scancel"]
  )


def run(fakes, *codes, **job):
  """Runs the script; `codes` are those of one srun after the other."""
  fakes.answer([[["srun"], "", code] for code in codes])
  return fakes.run("bash", SCRIPT, *MODULE, env=JOB | job)


def told(fakes):
  return [call[:-1] for call in fakes.calls()]


def test_a_dry_run_prints_what_a_run_does(fakes):
  printed = fakes.run("bash", SCRIPT, "--dry_run", *MODULE)
  assert printed.returncode == 0 and not fakes.calls()
  assert run(fakes, 75).returncode == 0
  done = told(fakes)
  assert done[0] == shlex.split(printed.stdout.splitlines()[0])
  assert done[0][-len(MODULE) :] == MODULE
  # And a shell reads it as we do.
  fakes.run("bash", "-c", printed.stdout, env=JOB)
  assert told(fakes) == done and done[1] == ["scontrol", "requeue", "7"]


@pytest.mark.parametrize(
  "codes, code, num_steps, is_requeued",
  [
    ([0], 0, 1, False),
    ([2, 0], 2, 1, False),
    ([75], 0, 1, True),
    ([1, 0], 0, 2, False),
    ([134, 75], 0, 2, True),
    ([1, 1, 1, 137, 0], 137, 4, False),
  ],
)
def test_what_follows_an_exit_code(codes, code, num_steps, is_requeued, fakes):
  done = run(fakes, *codes)
  names = [call[:2] for call in told(fakes)]
  assert done.returncode == code, done.stdout
  assert [name for name, _ in names].count("srun") == num_steps
  assert (["scontrol", "requeue"] in names) == is_requeued


def test_a_job_does_not_come_back_for_ever(fakes):
  assert run(fakes, 75, SLURM_RESTART_COUNT="100").returncode == 75
  assert [call[0] for call in told(fakes)] == ["srun"]


@pytest.mark.parametrize("code", [0, 75, 143])
def test_a_warning_reaches_the_tasks_which_then_finish(code, fakes, tmp_path):
  warned, saved = tmp_path / "warned", tmp_path / "saved"
  (fakes.directory / "srun").write_text(
    f"#!/bin/bash\necho started\nuntil [ -e {warned} ]; do sleep 0.05; done\n"
    f"sleep 0.5; touch {saved}; exit {code}\n"
  )
  (fakes.directory / "scancel").write_text(
    f'#!/bin/bash\n[ "$*" = "--signal=TERM 7" ] && touch {warned}\n'
  )
  path = f"{fakes.directory}{os.pathsep}{os.environ['PATH']}"
  job = subprocess.Popen(
    ["bash", SCRIPT, *MODULE],
    env=os.environ | JOB | {"PATH": path},
    cwd=recorded_commands.ROOT,
    stdout=subprocess.PIPE,
    text=True,
  )
  while job.stdout.readline() != "started\n":
    time.sleep(0.01)
  job.send_signal(signal.SIGTERM)
  assert job.wait(20) == 0 and saved.exists()
  is_requeued = [call[:-1] for call in fakes.calls()] == [
    ["scontrol", "requeue", "7"]
  ]
  # Whoever was warned and died of it was pre-empted too.
  assert is_requeued == (code != 0)


@pytest.mark.parametrize("words", [[], ["--dry_run"], ["--workdir=x"]])
def test_a_wrong_command_line_is_one_line(words, fakes):
  done = fakes.run("bash", SCRIPT, *words, env=JOB)
  assert done.returncode == 2 and not fakes.calls()
  assert len(done.stderr.splitlines()) == 1


def test_it_says_where_to_start_it(fakes, tmp_path):
  done = subprocess.run(
    ["bash", SCRIPT, *MODULE], cwd=tmp_path, capture_output=True, text=True
  )
  assert done.returncode == 2 and "not the checkout" in done.stderr


def test_no_cluster_is_written_down():
  options = [
    line
    for line in SCRIPT.read_text().splitlines()
    if line.startswith("#SBATCH")
  ]
  assert "#SBATCH --signal=B:TERM@120" in options
  assert "#SBATCH --open-mode=append" in options
  for name in ("partition", "account", "nodes", "ntasks", "gpus", "time"):
    assert not any(f"--{name}" in line for line in options)
