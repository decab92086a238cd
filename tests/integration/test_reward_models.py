"""Reward models through a whole run in miniature, from collection to report."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from oracles import commands, model_directories
from oracles import reward_models as make

from experiments.configs import gsm8k
from experiments.harness import questions, run
from qsharp_jax import data
from qsharp_jax.reward_models import scoring
from qsharp_jax.rollout import store

METHODS = ("qsharp", "args", "best_of_n", "blocks", "transfer", "grpo")
_FIT = {"batch_size": 8, "max_length": 128, "num_epochs": 1}
_GRPO = {"num_iterations": 1, "prompts_per_iteration": 4, "num_samples": 2}
CHANGES = {
  "value.num_atoms": 5,
  "value.head": "q",
  "value.q_head": "zeros",
  "fit": _FIT | {"learning_rate": 1e-3},
  "rounds": {"num_rounds": 2, "num_samples": 4, "rule": "algorithm1"},
  "data.prompt": "chat",
  "data.num_validation": 4,
  "sampling": {
    "batch_size": 4, "prompts_per_refill": 4, "max_new_tokens": 6,
    "prompt_bucket": 64, "num_candidates": 3, "temperature": 1.0, "top_p": 1.0,
  },
  "evaluation": {"etas": (0.5,), "num_samples": 2, "num_reference_samples": 4},
  "search.best_of": 2,
  "search.blocks": {"num_samples": 2, "num_kept": 1, "block_length": 3},
  "search.transfer": {
    "baseline": "", "num_candidates": 2, "num_rollouts": 1, "etas": (0.5,),
  },
  "baselines": {"grpo": {"fit": _FIT} | _GRPO},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  """A reference that chats, two reward models, and questions."""
  base = tmp_path_factory.mktemp("reward_models")
  reference = model_directories.qwen2(base / "reference", context=128)
  tokenizer = data.tokenizer.load(reference).hf
  tokenizer.chat_template = make.CHATML
  tokenizer.save_pretrained(str(reference))
  make.save(base / "a")
  make.save(base / "b", template=None, seed=1)
  for split, count in (("train", 12), ("test", 4)):
    rows = [
      {"question": f"{split}: {i} + {2 * i}?", "answer": ""}
      for i in range(count)
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (base / f"{split}.jsonl").write_text("".join(lines))
  return base


def config_of(base, **changes):
  config = gsm8k.get_config("local")
  reward = f"model:{base}/a/model+0.5*model:{base}/b/model"
  own = CHANGES | {
    "reference": str(base / "reference"),
    "data.source": f"jsonl:{base}",
    "reward": reward,
    "search.judge": reward,
    "search.transfer.reward": f"model:{base}/b/model",
    "evaluation.methods": METHODS,
  }
  for name, value in (own | changes).items():
    *sections, field = name.split(".")
    section = config
    for part in sections:
      section = section[part]
    if isinstance(value, dict):
      section[field].update(value)
    else:
      section[field] = value
  return config


def report_of(config, workdir):
  run.run(
    config, str(workdir), experiment="gsm8k", task=questions.words(config)
  )
  return json.loads((workdir / "report.json").read_text())


@pytest.fixture(scope="module")
def finished(made):
  """A run on a mesh that cuts rows and weights, rewards standardised."""
  config = config_of(made, reward_is_standardised=True, mesh=(2, 2, 2))
  workdir = made / "run"
  return config, workdir, report_of(config, workdir)


def test_every_method_is_rewarded_by_the_models(finished):
  _, workdir, report = finished
  rows = {row["method"]: row for row in report["rows"]}
  assert rows.keys() == {"reference", *METHODS}
  assert all(np.isfinite(row["reward"]) for row in rows.values())
  assert all(row["failed_rewards"] == 0 for row in rows.values())
  # The best of two by the very reward beats one.
  assert rows["best_of_n"]["reward"] > rows["reference"]["reward"]
  assert rows["args"]["reward"] > rows["reference"]["reward"]
  found = store.read(workdir / "round_1" / "rollouts")
  assert found.label.mean() == pytest.approx(0, abs=1e-9)
  assert found.label.std() == pytest.approx(1)


def test_the_same_command_again_scores_nothing(finished, monkeypatch):
  config, workdir, report = finished
  asked = []
  own = scoring.Scorer.scores

  def watched(self, sequences):
    asked.append(len(sequences))
    return own(self, sequences)

  monkeypatch.setattr(scoring.Scorer, "scores", watched)
  again = report_of(config, workdir)
  assert rows_of(again) == rows_of(report)
  assert max(asked) <= 4  # the trials of beforehand


def rows_of(report):
  """Rows of a report without what depends on the machine's mood."""
  leave = ("tokens_per_second", "seconds")
  return [
    {k: v for k, v in row.items() if k not in leave} for row in report["rows"]
  ]


SLOWED = """
import json, os, pathlib, time
import ml_collections
from qsharp_jax.reward_models import scoring

_scores = scoring.Scorer.scores


def scores(self, sequences):
  with open(os.environ["SCORED"], "a") as file:
    file.write("x")
  time.sleep(0.2)
  return _scores(self, sequences)


scoring.Scorer.scores = scores


def get_config(variant):
  file = pathlib.Path(__file__).with_name("config.json")
  config = ml_collections.ConfigDict(json.loads(file.read_text()))
  config.variant = variant
  return config
"""


@pytest.mark.slow
@pytest.mark.parametrize("num_calls", [5, 17, 31])
def test_a_kill_while_scoring_changes_nothing(made, tmp_path, num_calls):
  config = config_of(made, reward_is_standardised=True)
  (tmp_path / "slowed.py").write_text(SLOWED)
  (tmp_path / "config.json").write_text(config.to_json())
  scored = tmp_path / "scored"
  command = lambda workdir: [
    *(sys.executable, "-m", "experiments.gsm8k", f"--workdir={workdir}"),
    f"--config={tmp_path}/slowed.py:killed",
  ]
  env = commands.environment() | {"SCORED": str(scored)}
  start = lambda workdir: subprocess.Popen(
    command(workdir), cwd=commands.ROOT, env=env, stderr=subprocess.PIPE
  )
  whole, cut = tmp_path / "whole" / "run", tmp_path / "cut" / "run"
  process = start(whole)
  assert process.wait() == 0, process.stderr.read().decode()
  scored.unlink()
  process = start(cut)
  while not scored.exists() or os.path.getsize(scored) < num_calls:
    assert process.poll() is None, process.stderr.read().decode()
    time.sleep(0.01)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  assert not (cut / "report.json").exists()
  process = start(cut)
  assert process.wait() == 0, process.stderr.read().decode()
  reports = [json.loads((d / "report.json").read_text()) for d in (whole, cut)]
  assert rows_of(reports[0]) == rows_of(reports[1])
