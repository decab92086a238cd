"""Every kind of method in one report, in miniature."""

import json
import pathlib

import numpy as np
import pyarrow
import pytest
import test_gsm8k
from oracles import commands
from pyarrow import parquet

METHODS = (
  *("qsharp", "fudge", "args", "mixture", "dpo_q", "dpo_beam", "transfer"),
  *("transfer_indirect", "best_of_n", "blocks", "dpo", "ppo"),
)
FLAGS = test_gsm8k.FLAGS | {
  "data.num_train": 16,
  "rounds.num_rounds": 1,
  "rounds.method": "cd",  # what is mixed; one round rolls in with nothing
  "sampling.prompt_bucket": 112,
  "sampling.num_candidates": 300,  # every token of the vocabulary
  "evaluation.etas": (0.3,),
  "evaluation.num_samples": 4,
  "evaluation.num_reference_samples": 8,
  "search.best_of": 4,
  "search.blocks.block_length": 8,
  "search.transfer.etas": (0.3,),
  "search.transfer.num_candidates": 2,
  "search.transfer.num_rollouts": 2,
  "search.transfer.baseline": "",
}


def run(workdir, methods, **more):
  flags = FLAGS | {"evaluation.methods": methods} | more
  commands.finish(
    "experiments.gsm8k",
    f"--workdir={workdir}",
    *("--config", f"{workdir.parent}/small.py:tiny"),
    *(f"--config.{name}={value}" for name, value in flags.items()),
    env=commands.environment(pathlib.Path(__file__).parent),
  )


SMALL = """
from experiments.configs import gsm8k


def get_config(variant):
  config = gsm8k.get_config(variant)
  fit = {"batch_size": 8, "max_length": 256, "num_epochs": 1}
  config.baselines.update({
    "dpo": {"fit": fit | {"learning_rate": 1e-3}, "eta": 0.3},
    "ppo": {
      "fit": fit,
      "num_iterations": 2,
      "prompts_per_iteration": 4,
      "num_samples": 2,
    },
  })
  return config
"""


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """A run asked for one method, and then for all the others."""
  path = tmp_path_factory.mktemp("methods") / "run"
  (path.parent / "small.py").write_text(SMALL)
  more = {
    "search.transfer.reward": "strict",
    "search.transfer.baseline_reward": "length_reward:even",
    "search.mixture.others": (f"{path}/round_1/value",),
    "search.mixture.weights": (0.5, 0.5),
  }
  run(path, ("cd",), **more)
  before = (path / "round_1" / "value" / "model.safetensors").stat().st_mtime
  run(path, METHODS, **more)
  after = (path / "round_1" / "value" / "model.safetensors").stat().st_mtime
  assert before == after
  return path


@pytest.fixture(scope="module")
def rows(workdir):
  report = json.loads((workdir / "report.json").read_text())
  return {row["method"]: row for row in report["rows"]}


def test_every_method_has_a_row(rows):
  assert rows.keys() == {"reference", *METHODS}
  for row in rows.values():
    assert 0 <= row["pass@1"] <= 1 and row["num_questions"] == 8
    assert row["failed_rewards"] == 0


def test_forwards_say_what_each_costs(rows):
  length = lambda name: rows[name]["mean_length"]
  cost = lambda name: rows[name]["forwards"]
  close = lambda a, b: abs(a - b) < 1e-3 * b
  assert close(cost("reference"), 1 + length("reference"))
  for name, num_models in (("qsharp", 2), ("ppo", 2), ("dpo_q", 3)):
    assert close(cost(name), num_models * (1 + length(name))), name
  assert close(cost("mixture"), 3 * (1 + length("mixture")))
  assert cost("best_of_n") > 3 * cost("reference")
  assert cost("transfer") > 3 * cost("reference")


def samples(workdir, name):
  """All columns of a method's test samples, as pyarrow reads them."""
  folder = workdir / "evaluation" / "test" / name
  shards = map(parquet.read_table, sorted(folder.glob("shard-*.parquet")))
  return pyarrow.concat_tables(shards).to_pydict()


def folders(workdir):
  found = sorted((workdir / "evaluation" / "test").iterdir())
  return {path.name.split("-eta")[0]: path.name for path in found}


def test_two_halves_of_one_reward_are_the_reward(workdir):
  both = samples(workdir, "mixture-eta0.3-round0")
  one = samples(workdir, "cd-eta0.3-round1")
  assert both["text"] == one["text"]
  np.testing.assert_allclose(both["kl"], one["kl"], rtol=1e-3, atol=1e-4)
  assert one["text"] != samples(workdir, "reference")["text"]


def test_the_log_ratio_at_its_own_kl_weight_is_the_tuned_policy(workdir):
  ratio = samples(workdir, "dpo_q-eta0.3-round0")
  tuned = samples(workdir, "dpo")
  assert ratio["text"] == tuned["text"]
  np.testing.assert_allclose(ratio["kl"], tuned["kl"], rtol=1e-3, atol=1e-3)
  assert tuned["text"] != samples(workdir, "reference")["text"]


def test_rows_are_the_means_of_their_samples(workdir, rows):
  names = folders(workdir)
  assert names.keys() - {"cd"} == rows.keys()
  for method, row in rows.items():
    found = samples(workdir, names[method])
    gold = [answer.split("#### ")[-1] for answer in found["answer"]]
    right = [
      e is not None and float(e) == float(g)
      for e, g in zip(found["extracted"], gold, strict=True)
    ]
    assert right == found["correct"], method
    means = {"pass@1": right, "forwards": found["forwards"]}
    if row["kl"] is not None:
      means["kl"] = found["kl"]
    for column, values in means.items():
      np.testing.assert_allclose(
        row[column], np.mean(values), rtol=1e-6, err_msg=f"{method} {column}"
      )


def test_searches_find_answers_of_greater_value(workdir):
  value = lambda name: np.mean(samples(workdir, name)["value"])
  assert value("best_of_n") > value("reference")
  assert value("blocks") > value("reference")


def test_unknown_kl_is_no_number(rows):
  assert rows["best_of_n"]["kl"] is None and rows["blocks"]["kl"] is None
  for name in set(rows) - {"best_of_n", "blocks"}:
    assert rows[name]["kl"] > -1e-4, name


def test_report_matches_methods_and_calibrates_values(workdir):
  report = json.loads((workdir / "report.json").read_text())
  matched = {entry["method"]: entry for entry in report["matched"]}
  assert matched.keys() == {"reference", *METHODS}
  bins = report["values"]["round 1"]["held_out_questions"]["by_position"]
  assert bins[0]["low"] == 0 and sum(entry["count"] for entry in bins) > 100
  text = (workdir / "report.md").read_text()
  assert "## At the KL of the chosen Q# row" in text
  assert "## Values of round 1 on held-out questions" in text


def test_a_tuned_policy_is_a_reference_for_another_run(workdir, tmp_path):
  (tmp_path / "small.py").write_text(SMALL)
  reference = f"{workdir}/baselines/ppo/model"
  run(tmp_path / "run", ("qsharp",), reference=reference)
  report = json.loads((tmp_path / "run" / "report.json").read_text())
  assert {row["method"] for row in report["rows"]} == {"reference", "qsharp"}
