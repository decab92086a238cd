"""The command that trains reward models: its model, report and refusals."""

import json

import pytest
from absl import flags
from absl.testing import flagsaver
from oracles import model_directories

from experiments.tools import reward_model
from qsharp_jax import data, sharding
from qsharp_jax.checkpoint import classifiers
from qsharp_jax.core.errors import InputError
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
  """The command with these flags."""
  own = {
    "model": str(base / "lm"),
    "preferences": f"jsonl:{base}/pairs.jsonl",
    "workdir": str(base / "run"),
    "batch_size": 8,
    "max_length": 64,
    "num_epochs": 6,
    "learning_rate": 0.02,
    "held_out": 0.3,
  }
  flags.FLAGS.mark_as_parsed()
  with flagsaver.flagsaver(**(own | changes)):
    reward_model.main(None)


def test_learns_reports_and_learns_nothing_again(base, capsys):
  main(base)
  report = json.loads((base / "run" / "report.json").read_text())
  assert report["num_trained"] + report["num_held_out"] == 24
  assert report["held_out_accuracy"] == 1.0
  said = capsys.readouterr().out
  assert f"right on 1.0000 of {report['num_held_out']} held out" in said
  model = base / "run" / "model"
  scorer = scoring.load(model, sharding.layout.over_weights())
  tokenizer = data.tokenizer.load(model)
  longer, shorter = scorer.scores(
    [tokenizer.encode_whole(text) for text in ("5? 5 5", "5? 5")]
  )
  assert longer > shorter
  assert classifiers.describe(model)[1].num_atoms == 1
  written = (model / "model.safetensors").stat().st_mtime_ns
  main(base)
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
  with pytest.raises(InputError, match=said):
    main(base, workdir=str(tmp_path / "run"), **changes)
