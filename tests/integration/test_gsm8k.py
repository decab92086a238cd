"""The whole experiment in miniature, killed and started again."""

import copy
import json
import pathlib
import signal
import time

import pytest
from oracles import commands

METHODS = ("qsharp", "cd")
ETAS = (0.1, 0.5)
# One step of arithmetic on small numbers, and two layers that half learn it.
FLAGS = {
  "pretrain.num_questions": 2500,
  "pretrain.num_steps": 1,
  "pretrain.max_value": 4,
  "pretrain.mistake_rate": 0.1,
  "pretrain.vocab_size": 300,
  "pretrain.width": 32,
  "pretrain.num_layers": 2,
  "pretrain.num_heads": 2,
  "pretrain.num_epochs": 1,
  "pretrain.batch_size": 32,
  "pretrain.max_length": 128,
  "pretrain.learning_rate": 0.01,
  "pretrain.warmup_steps": 10,
  "pretrain.checkpoint_every": 50,
  "data.num_train": 40,
  "data.num_validation": 8,
  "data.num_test": 8,
  "sampling.batch_size": 4,
  "sampling.prompts_per_refill": 2,
  "sampling.max_new_tokens": 16,
  "sampling.prompt_bucket": 64,
  "rounds.num_rounds": 2,
  "rounds.num_samples": 8,
  "rounds.rule": "response",
  "fit.num_frozen_layers": 2,
  "fit.batch_size": 16,
  "fit.num_epochs": 2,
  "fit.checkpoint_every": 5,
  "fit.warmup_steps": 2,
  "fit.max_length": 128,
  "evaluation.methods": METHODS,
  "evaluation.etas": ETAS,
  "evaluation.num_samples": 8,
  "evaluation.num_reference_samples": 16,
}


def start(workdir):
  """The experiment, compiled as a user has it."""
  return commands.start(
    "experiments.gsm8k",
    f"--workdir={workdir}",
    *(f"--config.{name}={value}" for name, value in FLAGS.items()),
    env=commands.environment(as_users=True),
  )


def finish(workdir):
  process = start(workdir)
  code = process.wait()
  out, complaint = process.said()
  assert code == 0, complaint
  return out


def kill_when(moment, workdir):
  """Starts the experiment and ends it, unwarned, as soon as `moment()`."""
  process = start(workdir)
  try:
    while not moment():
      assert process.poll() is None, process.said()
      time.sleep(0.001)
  finally:
    if process.poll() is None:
      process.send_signal(signal.SIGKILL)
    process.wait()


def rows_of(workdir):
  """Rows of the report, without what depends on the machine's mood."""
  rows = copy.deepcopy(report_of(workdir)["rows"])
  for row in rows:
    del row["tokens_per_second"], row["seconds"]
  return rows


def report_of(workdir):
  return json.loads((workdir / "report.json").read_text())


def snapshot(workdir):
  return {
    path.relative_to(workdir): path.read_bytes()
    for path in workdir.rglob("*")
    if path.is_file()
  }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("gsm8k") / "run"
  (workdir.parent / "stdout").write_text(finish(workdir))
  return workdir


def test_report_has_the_agreed_form(undisturbed):
  report = report_of(undisturbed)
  assert report.keys() == {
    *("experiment", "variant", "rows", "seconds", "versions"),
    *("matched", "paired", "values", "front", "objective_eta"),
    *("failed_rewards", "verified", "at_equal_forwards"),
  }
  assert (report["experiment"], report["variant"]) == ("gsm8k", "tiny")
  for row in report["rows"]:
    assert row.keys() >= {
      *("method", "eta", "round", "num_questions", "num_samples"),
      *("pass@1", "pass@1_ci95", "maj1@8", "pass@8"),
      *("reward", "reward_ci95", "objective", "optimum", "optimum_ci95"),
      *("share", "num_reference_samples", "kl", "kl_filtered"),
      *("mean_length", "truncated_share", "tokens_per_second"),
    }
    is_guided = row["method"] != "reference"
    num_samples = 8 if is_guided else 16
    assert (row["num_questions"], row["num_samples"]) == (8, num_samples)
    assert row["reward"] == row["pass@1"]
    assert (row["num_reference_samples"] == 16) == is_guided
    if is_guided:
      low, high = row["optimum_ci95"]
      assert low <= row["optimum"] <= high
      assert row["objective"] < row["optimum"]  # of hardly trained values
    low, high = row["pass@1_ci95"]
    assert 0 <= low <= row["pass@1"] <= high <= 1
    assert row["pass@1"] <= row["pass@8"] <= 1
    assert 0 < row["mean_length"] <= 16 and row["tokens_per_second"] > 0
  kinds = {(r["method"], r["eta"], r["round"]) for r in report["rows"]}
  assert kinds == {
    ("reference", None, 0),
    *((method, 0.1, 1) for method in METHODS),
    *((method, eta, 2) for method in METHODS for eta in ETAS),
  }
  seconds = report["seconds"]
  for stage in ("pretrain", "collect_1", "train_1", "collect_2", "train_2"):
    assert 0 < seconds[stage] < seconds["total"]
  assert {"python", "jax", "qsharp_jax"} <= report["versions"].keys()


def test_guidance_costs_kl_and_less_of_it_with_a_larger_eta(undisturbed):
  kl = {
    (r["method"], r["eta"]): r["kl"]
    for r in report_of(undisturbed)["rows"]
    if r["round"] != 1
  }
  assert abs(kl["reference", None]) < 1e-6
  for method in METHODS:
    assert 1e-4 < kl[method, 0.5] < kl[method, 0.1]


def test_leaves_what_a_reader_wants(undisturbed):
  text = (undisturbed / "report.md").read_text()
  assert text.startswith("# gsm8k (tiny)")
  assert text in (undisturbed.parent / "stdout").read_text()
  assert (undisturbed / "pareto.png").read_bytes().startswith(b"\x89PNG")
  for stage in ("reference", "round_1", "round_2"):
    (events,) = (undisturbed / stage / "events").glob("events.out.tfevents.*")
    assert b"loss" in events.read_bytes()
  for name in ("round_1", "round_2"):
    metrics = json.loads(
      (undisturbed / name / "value_metrics.json").read_text()
    )
    assert metrics["held_out_questions"]["tokens"] > 0
    assert (undisturbed / name / "value" / "model.safetensors").exists()


def test_a_second_call_only_reads(undisturbed):
  before = snapshot(undisturbed)
  said = finish(undisturbed)
  after = snapshot(undisturbed)
  assert before.keys() == after.keys()
  assert [name for name in before if before[name] != after[name]] == []
  assert said == (undisturbed.parent / "stdout").read_text()


def test_killed_at_any_stage_it_ends_with_the_same_report(
  undisturbed, tmp_path
):
  workdir = tmp_path / "run"
  is_done = lambda stage: (workdir / "stages" / f"{stage}.json").exists()
  shard = workdir / "round_1" / "rollouts" / "shard-00000.parquet"

  kill_when(shard.exists, workdir)
  assert is_done("pretrain") and not is_done("collect_1")
  first_shard = shard.stat().st_mtime_ns

  # Checkpoints that are being written have longer names.
  checkpoints = workdir / "round_1" / "checkpoints"
  steps = lambda: [p for p in checkpoints.glob("*") if p.name.isdigit()]
  kill_when(steps, workdir)
  assert is_done("collect_1") and not is_done("train_1")
  assert shard.stat().st_mtime_ns == first_shard

  kill_when(
    lambda: list(workdir.glob("evaluation/test/*/shard-*.parquet")), workdir
  )
  assert is_done("train_2") and not (workdir / "report.json").exists()
  # The resumed training wrote events of its own, from its checkpoint on.
  assert len(list((workdir / "round_1" / "events").iterdir())) == 2

  finish(workdir)
  assert rows_of(workdir) == rows_of(undisturbed)
  for name in ("round_1", "round_2"):
    file = pathlib.Path(name, "value", "model.safetensors")
    assert (workdir / file).read_bytes() == (undisturbed / file).read_bytes()
    file = pathlib.Path(name, "value_metrics.json")
    assert (workdir / file).read_text() == (undisturbed / file).read_text()
