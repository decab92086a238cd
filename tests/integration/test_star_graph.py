"""The star-graph experiment in miniature, and its check of foreign files."""

import functools
import json

import numpy as np
import pytest
from oracles import commands, star_lines
from safetensors.numpy import load_file

from qsharp_jax import data
from qsharp_jax.rollout import store

FLAGS = {
  "graphs.num_nodes": 10,
  "pretrain.width": 16,
  "pretrain.num_layers": 1,
  "pretrain.num_heads": 2,
  "pretrain.learning_rate": 0.01,
  "pretrain.batch_size": 16,
  "pretrain.num_epochs": 3,
  "pretrain.max_length": 38,
  "fit.num_frozen_layers": 1,
  "fit.batch_size": 16,
  "data.num_train": 0,
  "data.num_validation": 20,
  "data.num_test": 0,
  "sampling.batch_size": 64,
  "sampling.prompts_per_refill": 64,
  "evaluation.methods": ("qsharp", "cd"),
}


run = functools.partial(commands.run, "experiments.star_graph")


def lines(num, seed):
  """Arms of one node beyond the centre: small enough to be half learnt."""
  return star_lines.lines(num, arms=2, nodes_per_arm=2, highest=9, seed=seed)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp("graphs")
  for seed, (name, num) in enumerate(
    [("pretrain", 2000), ("train", 200), ("test", 50)]
  ):
    (folder / f"{name}.txt").write_text("\n".join(lines(num, seed)))
  return folder


@pytest.fixture(scope="module")
def workdir(files, tmp_path_factory):
  path = tmp_path_factory.mktemp("star_graph") / "run"
  done = run(
    f"--workdir={path}",
    f"--config.data.path={files}",
    *(f"--config.{name}={value}" for name, value in FLAGS.items()),
  )
  assert done.returncode == 0, done.stderr
  return path


def test_the_report_compares_on_the_graphs_of_the_files(workdir):
  report = json.loads((workdir / "report.json").read_text())
  assert (report["experiment"], report["variant"]) == ("star_graph", "tiny")
  assert {row["method"] for row in report["rows"]} >= {
    *("reference", "qsharp", "cd")
  }
  for row in report["rows"]:
    num_samples = 64 if row["method"] == "reference" else 1
    assert (row["num_questions"], row["num_samples"]) == (50, num_samples)
    assert 0 <= row["pass@1"] <= 1
  assert report["seconds"].keys() >= {
    *("pretrain", "value_start", "collect_1", "train_1")
  }


def test_single_samples_are_graded_as_paths_and_learnt_from(workdir, files):
  rollouts = list(store.read(workdir / "round_1" / "rollouts"))
  test, train = (
    [line.split("=") for line in (files / f"{name}.txt").read_text().split()]
    for name in ("test", "train")
  )
  unseen = [pair for pair in train if pair not in test]
  answers = {f"train-{i}": path for i, (_, path) in enumerate(unseen, 1)}
  assert len({r.question_id for r in rollouts}) == len(rollouts) > 100
  for rollout in rollouts:
    right = rollout.text.replace(" ", ",") == answers[rollout.question_id]
    assert (rollout.label, rollout.correct) == (float(right), right)
  metrics = json.loads((workdir / "round_1/value_metrics.json").read_text())
  assert metrics["held_out_questions"]["tokens"] > 0


def test_the_value_model_is_the_reference_with_new_layers(workdir):
  reference, start, value = (
    load_file(workdir / name / "model.safetensors")
    for name in ("reference/model", "value_start", "round_1/value")
  )
  kept = {n for n in start if n.startswith(("model.embed", "model.layers.0."))}
  for name in kept:
    np.testing.assert_array_equal(start[name], reference[name])
    np.testing.assert_array_equal(value[name], reference[name])
  for i in (1, 2):
    name = f"model.layers.{i}.mlp.down_proj.weight"
    assert name not in reference
    assert not np.any(start[name]) and np.any(value[name])
  config = json.loads((workdir / "value_start" / "config.json").read_text())
  assert (config["hidden_size"], config["num_hidden_layers"]) == (16, 3)
  assert config["value_head"] == {"kind": "v", "num_atoms": 1}
  ours = data.tokenizer.load(workdir / "value_start")
  theirs = data.tokenizer.load(workdir / "reference" / "model")
  data.tokenizer.check_same(theirs, ours)


def test_foreign_files_are_checked_line_by_line(tmp_path):
  good = tmp_path / "good.txt"
  text = star_lines.lines(
    5000, arms=5, nodes_per_arm=5, highest=50, seed=1, is_turned=True
  )
  good.write_text("\n".join(text))
  done = run(f"--check_data={good}")
  said = "5000 lines, 5000 valid stars, 5000 answers right\n"
  assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_bad_lines_are_named_and_counted(tmp_path):
  bad = tmp_path / "bad.txt"
  bad.write_text("\n".join([*lines(3, 0), "1,2|1,3/1,2=1,3", "", *["x"] * 11]))
  done = run(f"--check_data={bad}")
  assert done.returncode == 1
  assert done.stdout == "15 lines, 4 valid stars, 3 answers right\n"
  complaints = done.stderr.splitlines()
  assert len(complaints) == 11 and complaints[-1] == "and 2 more"
  assert complaints[0].startswith(f"{bad}:4: the answer is 1,3, expected 1,2")
  assert complaints[1].startswith(f"{bad}:6: got 'x'")


@pytest.mark.parametrize(
  ("flag", "says"),
  [
    ("--check_data=nowhere.txt", "nowhere.txt"),
    ("--config.data.path=nowhere.txt", "nowhere.txt"),
    ("--config.graphs.degree=10", "degree 10"),
    ("--config.pretrain.width=66", "width is 66; expected a multiple of 4"),
    ("--config.reward=strict", "on_device is True, reward 'strict'"),
    ("--config.graphs.path_length=4", "max_new_tokens is 4; expected at least"),
    ("--config=experiments/configs/star_graph.py:g9_9", "tiny, g2_5"),
  ],
)
def test_wrong_wishes_are_one_line(flag, says, tmp_path):
  few = "--config.data.num_train=9"
  done = run(f"--workdir={tmp_path / 'run'}", few, flag)
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 1, done.stderr
  assert done.stderr.startswith("error: ") and says in done.stderr


def test_wrong_graphs_are_one_line(files, tmp_path):
  done = run(
    f"--workdir={tmp_path / 'run'}",
    f"--config.data.path={files}",
    "--config.graphs.num_nodes=9",
  )
  assert done.returncode == 2
  assert "num_nodes is 9; expected at least 10 for these graphs" in done.stderr
