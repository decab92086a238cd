"""The command that trains reward models: its model, report and refusals."""

import json
import re

import pytest
from oracles import commands, model_directories

from qsharp_jax import data, sharding
from qsharp_jax.checkpoint import classifiers
from qsharp_jax.reward_models import scoring


@pytest.fixture(scope="module")
def base(tmp_path_factory):
  """A language model, and preferences for what is longer."""
  base = tmp_path_factory.mktemp("reward_model")
  model_directories.qwen2(base / "lm", context=128)
  rows = [
    {"prompt": f"{i}?", "chosen": f" {i} {i}", "rejected": f" {i}"}
    for i in range(24)
  ]
  lines = [json.dumps(row) + "\n" for row in rows]
  (base / "pairs.jsonl").write_text("".join(lines))
  return base


def main(base, **changes):
  """The command with these flags; what it says, and how it ends."""
  flags = {
    "model": str(base / "lm"),
    "preferences": f"jsonl:{base}/pairs.jsonl",
    "workdir": str(base / "run"),
    "batch_size": 8,
    "max_length": 64,
    "num_epochs": 6,
    "learning_rate": 0.02,
    "held_out": 0.3,
  }
  flags |= changes
  env = commands.environment()
  env["XLA_FLAGS"] += " --xla_force_host_platform_device_count=2"
  return commands.run(
    "experiments.reward_model",
    *(f"--{k}={v}" for k, v in flags.items()),
    env=env,
  )


def test_learns_reports_and_learns_nothing_again(base):
  done = main(base)
  assert done.returncode == 0, done.stderr
  report = json.loads((base / "run" / "report.json").read_text())
  assert report["num_trained"] + report["num_held_out"] == 24
  assert report["held_out_accuracy"] == 1.0
  said = f"right on 1.0000 of {report['num_held_out']} held out"
  assert said in done.stdout
  model = base / "run" / "model"
  scorer = scoring.load(model, sharding.layout.over_weights())
  tokenizer = data.tokenizer.load(model)
  longer, shorter = scorer.scores(
    [tokenizer.encode_whole(text) for text in ("5? 5 5", "5? 5")]
  )
  assert longer > shorter
  assert classifiers.describe(model)[1].num_atoms == 1
  written = (model / "model.safetensors").stat().st_mtime_ns
  assert main(base).returncode == 0
  assert (model / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"batch_size": 3}, "expected a multiple of"),
    ({"max_length": 4}, "none of .* preferences fits a row of 4 tokens"),
    ({"preferences": "jsonl:nowhere.jsonl"}, "nowhere.jsonl"),
    ({"has_margin": True}, "its margin is None; expected a number >= 0"),
  ],
)
def test_refuses_in_words(base, tmp_path, changes, said):
  done = main(base, workdir=str(tmp_path / "run"), **changes)
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line.startswith("error: ") and re.search(said, line)
