"""A task in one file: the example, and files that are wrong."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest
from oracles import commands

from qsharp_jax import rewards
from qsharp_jax.rewards import registry

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "my_task.py"
SIZES = {
  "pretrain.num_questions": 600,
  "pretrain.vocab_size": 300,
  "pretrain.width": 16,
  "pretrain.num_layers": 1,
  "pretrain.num_heads": 2,
  "data.num_train": 12,
  "data.num_validation": 4,
  "data.num_test": 4,
  "sampling.batch_size": 4,
  "sampling.prompts_per_refill": 4,
  "sampling.prompt_bucket": 64,
  "rounds.num_samples": 4,
  "fit.batch_size": 4,
  "fit.num_frozen_layers": 1,
  "fit.max_length": 128,
  "pretrain.max_length": 128,
  "evaluation.etas": (0.1,),
  "evaluation.methods": ("qsharp",),
  "evaluation.num_samples": 2,
  "evaluation.num_reference_samples": 2,
}


def custom(*flags, cwd=ROOT):
  own = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  path = os.pathsep.join(filter(None, [str(ROOT), own.get("PYTHONPATH")]))
  return subprocess.run(
    [sys.executable, "-m", "experiments.custom", *flags],
    cwd=cwd,
    env=own | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path},
    capture_output=True,
    text=True,
  )


@pytest.mark.slow
def test_the_example_leads_to_a_report(tmp_path):
  done = custom(
    f"--config={EXAMPLE}",
    f"--workdir={tmp_path / 'run'}",
    *(f"--config.{name}={value}" for name, value in SIZES.items()),
  )
  assert done.returncode == 0, done.stderr
  report = json.loads((tmp_path / "run" / "report.json").read_text())
  assert (report["experiment"], report["variant"]) == ("custom", "my_task")
  # Not right or wrong: letters cost, too.
  assert any(row["reward"] % 1 for row in report["rows"])
  assert "[" not in done.stderr.splitlines()[0]  # no file, line or thread


def test_the_example_fits_a_screen_and_its_reward_is_its_own():
  assert len(EXAMPLE.read_text().splitlines()) <= 30
  config = module(EXAMPLE).get_config()
  reward = rewards.resolve(config.reward)
  right = reward("3 + 4 = 7\n#### 7", "other words\n#### 7")
  assert right == pytest.approx(1 - 0.005 * len("3 + 4 = 7\n#### 7"))
  assert reward("#### 6", "#### 7") < 0


def module(path):
  spec = importlib.util.spec_from_file_location("example", path)
  found = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(found)
  return found


def test_other_settings_leave_the_reward_the_same(tmp_path):
  def identity(text):
    file = tmp_path / f"task_{len(list(tmp_path.iterdir()))}.py"
    file.write_text(text)
    name = f"{file}:reward"
    return registry.traits_of(name, registry.resolve(name)).source

  text = EXAMPLE.read_text()
  before = identity(text)
  assert identity(text.replace("num_train=400", "num_train=40")) == before
  assert identity(text.replace("0.005 *", "0.5 *")) != before


def test_folders_of_a_reward_decide_nothing():
  assert registry.label("/a/b/mine.py:reward") == "mine.py:reward"
  assert registry.label("package.module:reward") == "package.module:reward"


@pytest.mark.parametrize(
  ("content", "says"),
  [
    (None, "--config is missing"),
    ("\nget_config = 1 / 0\n", "line 2: ZeroDivisionError: division by"),
    (
      "from experiments.configs import base\n"
      "get_config = base.paper\n"
      "def task(config):\n  return config.no_such_field\n",
      "task(config) of",
    ),
    (
      "from experiments.configs import base\n"
      "get_config = base.paper\n"
      "def task(config):\n  raise SystemExit(0)\n",
      "task(config) of",
    ),
    (
      "from experiments.configs import base\n"
      "get_config = base.paper\n"
      "def task(config):\n  return 7\n",
      "returned 7 without questions, corpus, files, columns",
    ),
    ("import sys\nsys.exit(0)\n", "line 2: SystemExit: 0; mend the file"),
    ("def get_config():\n  return {}\n", "get_config returned {}"),
    (
      "import logging\nlogging.warning('as it loads')\n1 / 0\n",
      "line 3: ZeroDivisionError",
    ),
  ],
)
def test_wrong_files_are_one_line(content, says, tmp_path):
  flags = [f"--workdir={tmp_path / 'run'}"]
  if content is not None:
    (tmp_path / "mine.py").write_text(content)
    flags.append("--config=mine.py")
  done = commands.run("experiments.custom", *flags, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  *said, line = done.stderr.splitlines()
  assert not said or said[1:] == ["warning: as it loads"]
  assert line.startswith("error: ") and says in line
