"""launch/tpu_vm.sh, with a gcloud that only writes down what it was told."""

import os
import shlex
import subprocess

import pytest
import recorded_commands

SCRIPT = recorded_commands.ROOT / "launch/tpu_vm.sh"
WHERE = ["--zone=us-west4-a", "--project=my-project"]
NAME = ["--name=slice", *WHERE]
TYPE = ["--type=v5litepod-8", "--spot", "--nfs=10.0.0.2:/runs"]
# Words that a careless shell would split, expand or swallow.
MODULE = [
  "experiments.gsm8k",
  "--workdir=/mnt/shared/run",
  "--config.mesh=(2,1,1)",
  "--config.evaluation.methods=('qsharp', 'cd')",
  "--config.data.prompt=it's $HOME; `true` * \\n",
]
COMMANDS = "create wait copy install run logs watch delete".split()


@pytest.fixture
def fakes(tmp_path):
  return recorded_commands.Fakes(
    tmp_path / "bin", ["gcloud", "git", "sleep", "kubectl"]
  )


def words(command):
  """The words of a command line of ours."""
  return [str(SCRIPT), command, *NAME, *TYPE, "--", *MODULE]


def told(fakes):
  """The calls, without what they were fed and without pauses."""
  return [call[:-1] for call in fakes.calls() if call[0] != "sleep"]


def option(call, name):
  (found,) = [w for w in call if w.startswith(f"--{name}=")]
  return found.removeprefix(f"--{name}=")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dry_run_prints_and_runs_nothing(command, fakes):
  done = fakes.run(*words(command)[:2], "--dry_run", *words(command)[2:])
  assert done.returncode == 0, done.stderr
  assert not fakes.calls()
  for line in done.stdout.splitlines():
    assert line.startswith(("gcloud compute tpus ", "git archive ")), line
    subprocess.run(["bash", "-n", "-c", line], check=True)
  assert done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "watch"])
def test_a_dry_run_prints_what_a_run_does(command, fakes):
  fakes.answer([[["describe"], "ACTIVE", 0]])
  printed = fakes.run(*words(command)[:2], "--dry_run", *words(command)[2:])
  done = fakes.run(*words(command))
  assert done.returncode == 0, done.stderr
  assert told(fakes) == [shlex.split(x) for x in printed.stdout.splitlines()]
  # And a shell reads it as we do.
  assert fakes.run("bash", "-c", printed.stdout).returncode == 0
  assert told(fakes) == [shlex.split(x) for x in printed.stdout.splitlines()]


def test_create_asks_for_what_the_flags_say(fakes):
  assert fakes.run(*words("create")).returncode == 0
  assert told(fakes) == [
    [
      *("gcloud", "compute", "tpus", "queued-resources", "create", "slice"),
      *("--node-id=slice", *WHERE, "--accelerator-type=v5litepod-8"),
      *("--runtime-version=v2-alpha-tpuv5-lite", "--spot"),
    ]
  ]


@pytest.mark.parametrize(
  "kind, version",
  [
    ("v4-8", "tpu-ubuntu2204-base"),
    ("v5p-32", "v2-alpha-tpuv5"),
    ("v6e-8", "v2-alpha-tpuv6e"),
  ],
)
def test_the_runtime_follows_the_type(kind, version, fakes):
  fakes.run(SCRIPT, "create", *NAME, f"--type={kind}")
  (call,) = told(fakes)
  assert option(call, "runtime-version") == version and "--spot" not in call
  fakes.run(SCRIPT, "create", *NAME, f"--type={kind}", "--runtime=mine")
  (call,) = told(fakes)
  assert option(call, "runtime-version") == "mine"


@pytest.mark.parametrize("code", [0, 75])
def test_a_host_runs_the_words_it_was_given(code, fakes, tmp_path):
  fakes.run(*words("run"))
  (call,) = told(fakes)
  assert option(call, "worker") == "all"
  host = recorded_commands.Fakes(tmp_path / "qsharp-jax/.venv/bin", ["python"])
  host.answer([[["-m"], "said", code]])
  there = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
  remote = f"cd; {option(call, 'command')}; wait"
  subprocess.run(["bash", "-c", remote], env=there, check=True, timeout=60)
  assert told(host) == [["python", "-m", *MODULE]]
  assert (tmp_path / "qsharp-jax/exit_code").read_text() == f"{code}\n"
  assert (tmp_path / "qsharp-jax/run.log").read_text() == "said\n"


def test_an_old_exit_code_is_gone_when_it_runs_again(fakes, tmp_path):
  fakes.run(*words("run"))
  (call,) = told(fakes)
  python = tmp_path / "qsharp-jax/.venv/bin/python"
  python.parent.mkdir(parents=True)
  python.write_text("#!/bin/bash\nls\n")
  python.chmod(0o755)
  (tmp_path / "qsharp-jax/exit_code").write_text("75")
  remote = f"{option(call, 'command')}; wait"
  subprocess.run(["bash", "-c", remote], cwd=tmp_path, check=True, timeout=60)
  assert "exit_code" not in (tmp_path / "qsharp-jax/run.log").read_text()
  assert (tmp_path / "qsharp-jax/exit_code").read_text() == "0\n"


@pytest.mark.parametrize(
  "files, answer",
  [
    ([], "absent"),
    ([("run.pid", "{own}")], "running"),
    ([("run.pid", "999999999")], "lost"),
    ([("run.pid", "999999999"), ("exit_code", "75")], "75"),
  ],
)
def test_what_a_host_answers(files, answer, fakes, tmp_path):
  printed = fakes.run(*words("watch")[:2], "--dry_run", *words("watch")[2:])
  (line,) = [x for x in printed.stdout.splitlines() if "running" in x]
  (tmp_path / "qsharp-jax").mkdir()
  for name, text in files:
    path = tmp_path / "qsharp-jax" / name
    path.write_text(text.format(own=os.getpid()))
  done = subprocess.run(
    ["bash", "-c", option(shlex.split(line), "command")],
    cwd=tmp_path,
    capture_output=True,
    text=True,
  )
  assert done.stdout.strip() == answer


def answers(*looks):
  """Answers to describe (in capitals) and to the question for exit codes."""
  return [
    [["describe"], look, 0] if look.isupper() else [["running"], look, 0]
    for look in looks
  ]


def story(fakes):
  """What was done besides looking, a word each."""
  verbs = {
    "create": "create",
    "delete": "delete",
    "scp": "copy",
    "uv pip": "install",
    ".venv/bin/python -m": "run",
  }
  calls = [" ".join(call) for call in told(fakes)]
  found = [[v for k, v in verbs.items() if f" {k} " in c] for c in calls]
  return " ".join(v for verbs in found for v in verbs)


@pytest.mark.parametrize(
  "looks, code, did",
  [
    # It was started by hand and goes on until it is done on both hosts.
    ("ACTIVE running ACTIVE 0\nrunning ACTIVE 0\n0", 0, ""),
    # Two hosts that were pre-empted with their state saved.
    ("ACTIVE 75\n75 ACTIVE 0\n0", 0, "run"),
    # The slice is taken away and comes back empty.
    (
      "ACTIVE running SUSPENDING SUSPENDED WAITING_FOR_RESOURCES ACTIVE absent"
      " ACTIVE running ACTIVE 0",
      0,
      "delete create copy install run",
    ),
    # A crash, and a host that was started anew.
    ("ACTIVE 1\n134 ACTIVE 0", 0, "copy install run"),
    ("ACTIVE lost\n1 ACTIVE 0", 0, "copy install run"),
    # Wrong input is final, even where the other host fell with it.
    ("ACTIVE 134\n2", 2, ""),
    # Crashes are counted.
    ("ACTIVE 1 " * 6, 1, "copy install run " * 5),
  ],
)
def test_watch(looks, code, did, fakes):
  fakes.answer(answers(*looks.split(" ")))
  done = fakes.run(*words("watch"))
  assert (done.returncode, story(fakes)) == (code, did.strip()), done.stdout


def test_watch_makes_what_is_not_there(fakes):
  fakes.answer([[["describe"], "", 1], *answers("ACTIVE", "absent")])
  fakes.run(*words("watch"))
  assert story(fakes).startswith("create copy install run")


@pytest.mark.parametrize("answer, code", [("FAILED", 1), ("ACTIVE", 0)])
def test_wait_ends(answer, code, fakes):
  fakes.answer(answers("WAITING_FOR_RESOURCES", "PROVISIONING", answer))
  done = fakes.run(*words("wait"))
  assert done.returncode == code
  assert done.stdout.count("\n") == 3


@pytest.mark.parametrize(
  "wrong, says",
  [
    (["fly", *NAME], "'fly'"),
    (["create", *WHERE, "--type=v6e-8"], "--name is missing"),
    (["create", *NAME], "--type is missing"),
    (["create", *NAME, "--type=v9-8"], "--runtime"),
    (["run", *NAME], "MODULE"),
    (["run", *NAME, "--zoom=1"], "--zoom=1"),
  ],
)
def test_a_wrong_command_line_is_one_line(wrong, says, fakes):
  done = fakes.run(SCRIPT, *wrong)
  assert done.returncode == 2 and not fakes.calls()
  (line,) = done.stderr.splitlines()
  assert line.startswith("error: ") and says in line
