"""The variant `local`: GSM8K's own files, a model and a reward of one's own."""

import json
import os
import pathlib
import re

import numpy as np
import pytest
from oracles import commands, model_directories

from qsharp_jax import data
from qsharp_jax.rollout import store

FLAGS = {
  "data.num_train": 16,
  "data.num_validation": 6,
  "data.num_test": 4,
  "sampling.batch_size": 4,
  "sampling.max_new_tokens": 12,
  "sampling.prompt_bucket": 512,
  "sampling.num_candidates": 8,
  "rounds.num_rounds": 1,
  "rounds.num_samples": 4,
  "fit.batch_size": 4,
  "fit.num_epochs": 1,
  "fit.max_length": 1024,
  "fit.learning_rate": 0.01,
  "evaluation.etas": (0.2,),
  "evaluation.methods": ("qsharp",),
  "evaluation.num_samples": 2,
  "evaluation.num_reference_samples": 4,
  "reward": "length_reward:even",
}


def run(module, *flags, **variables):
  env = commands.environment(pathlib.Path(__file__).parent)  # of the reward
  return commands.run(module, *flags, env=env | variables)


def command(module, *flags, **variables):
  done = run(module, *flags, **variables)
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  source = os.environ.get("QSHARP_DATA_DIR")
  if not source:
    pytest.skip("QSHARP_DATA_DIR is not set: no GSM8K files")
  source = pathlib.Path(source) / "gsm8k"
  path = tmp_path_factory.mktemp("local")
  texts = [
    f"Question: {q.question}\nAnswer:\n{q.answer}"
    for q in data.jsonl.read(source / "test.jsonl")[:200]
  ]
  model = model_directories.qwen2(path / "model", context=1024, texts=texts)
  command(
    "experiments.gsm8k",
    "--config=experiments/configs/gsm8k.py:local",
    f"--workdir={path / 'run'}",
    f"--config.reference={model}",
    f"--config.data.source=jsonl:{source}",
    *(f"--config.{name}={value}" for name, value in FLAGS.items()),
  )
  return path / "run"


def test_every_stage_leads_to_a_report(workdir):
  report = json.loads((workdir / "report.json").read_text())
  assert report["variant"] == "local"
  kinds = [(r["method"], r["eta"], r["round"]) for r in report["rows"]]
  assert kinds == [("reference", None, 0), ("qsharp", 0.2, 1)]
  assert (workdir / "pareto.png").exists()
  # A V-type value model, which torch reads as a classifier.
  config = json.loads(
    (workdir / "round_1" / "value" / "config.json").read_text()
  )
  assert config["architectures"] == ["Qwen2ForSequenceClassification"]


def test_the_reward_of_ones_own_gave_the_labels(workdir):
  rollouts = list(store.read(workdir / "round_1" / "rollouts"))
  assert len(rollouts) >= 4 * 16
  labels = np.array([r.label for r in rollouts])
  assert 0 < labels.mean() < 1
  np.testing.assert_array_equal(
    labels, [len(r.text) % 2 == 0 for r in rollouts]
  )


@pytest.mark.parametrize("num_devices", [1, 2])
def test_both_answers_and_the_running_values_are_printed(
  workdir, num_devices, tmp_path
):
  said = command(
    "experiments.generate",
    f"--workdir={workdir}",
    "--prompt=Ann has 7 pens and buys 3. How many pens does she have?",
    "--eta=0.2",
    "--values",
    "--num_samples=2",
    f"--html={tmp_path / 'page.html'}",
    XLA_FLAGS=f"--xla_force_host_platform_device_count={num_devices}",
  )
  lines = said.splitlines()
  titles = [line for line in lines if line.startswith("--- ")]
  assert [title.split(" (")[0] for title in titles] == [
    *["--- reference"] * 2,
    *["--- qsharp, eta 0.2"] * 2,
  ]
  assert all("KL 0.000 nats" in title for title in titles[:2])
  assert not any("KL 0.000 nats" in title for title in titles[2:])
  values = [line.split()[0] for line in lines if line.startswith("   0.")]
  assert all(0 <= float(value) <= 1 for value in values)
  assert len(values) == sum(
    int(title.split("(")[1].split()[0]) for title in titles
  )
  page = (tmp_path / "page.html").read_text()
  (shown,) = re.findall(r'type="application/json">(.*?)</script>', page)
  (question,) = json.loads(shown)["tokens"]["questions"]
  # The running values are those of one plain pass over the answer.
  tokens = [t for own in question["answers"] for t in own["tokens"]]
  np.testing.assert_allclose(
    [t[1] for t in tokens], [float(value) for value in values], atol=6e-4
  )
  assert all(t[2] > 0 and t[3] > 0 for t in tokens)


@pytest.mark.parametrize(
  ("flag", "says"),
  [
    ("--method=magic", "'magic'"),
    ("--round=7", "round_7"),
  ],
)
def test_wrong_wishes_are_one_line(workdir, flag, says):
  done = run("experiments.generate", f"--workdir={workdir}", "--prompt=A", flag)
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 1, done.stderr
  assert done.stderr.startswith("error: ") and says in done.stderr
