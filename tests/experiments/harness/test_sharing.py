"""What is shared of a run loads elsewhere, and says where it comes from."""

import json

import huggingface_hub
import numpy as np
import pytest
from oracles import decoders, model_directories, mutations

import qsharp_jax
from experiments.harness import sharing
from qsharp_jax import models
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """What `share` reads of a finished run."""
  workdir = tmp_path_factory.mktemp("runs") / "mine"
  reference = model_directories.qwen2(workdir / "reference" / "model")
  config, _ = huggingface.load_language_model(reference)
  head = models.HeadConfig()
  params = decoders.params(models.ValueModel(config, head), 1)
  for name in ("round_2/value", "baselines/ppo/model"):
    if name.startswith("round"):
      saving.save_value_model(workdir / name, config, head, params, "qwen2")
    else:
      saving.save_language_model(
        workdir / name,
        config,
        decoders.params(models.LanguageModel(config), 2),
        "qwen2",
      )
    huggingface.copy_tokenizer(reference, workdir / name)
  own = {
    "reference": "",
    "data": {"source": "words:"},
    "reward": "strict",
    "rounds": {"num_rounds": 2, "num_samples": 6},
    "sampling": {"temperature": 0.7, "top_p": 0.9, "max_new_tokens": 24},
    "seed": 0,
  }
  rows = [
    {"method": "reference", "eta": None, "round": 0, "reward": 0.5},
    {"method": "qsharp", "eta": 0.1, "round": 1, "reward": 0.625},
    {"method": "qsharp", "eta": 0.1, "round": 2, "reward": 0.75},
    {"method": "ppo", "eta": 0.3, "round": 0, "reward": 0.875},
  ]
  (workdir / "config.json").write_text(json.dumps(own))
  (workdir / "report.json").write_text(json.dumps({"rows": rows}))
  return workdir


def test_a_value_model_loads_elsewhere_with_its_card(run, tmp_path):
  output = tmp_path / "shared"
  sharing.write(run, output, "values", 0)
  guide = qsharp_jax.load(run / "reference" / "model", values=output)
  inside = qsharp_jax.load(
    run / "reference" / "model", values=run / "round_2" / "value"
  )
  row = [5, 6, 7], [8, 9]
  np.testing.assert_array_equal(guide.values(*row), inside.values(*row))
  said = json.loads((output / "generation_config.json").read_text())
  assert said["temperature"] == 0.7 and said["max_new_tokens"] == 24
  card = (output / "README.md").read_text()
  assert "| qsharp | 0.1 | 0.750 |" in card
  assert "0.625" not in card and "ppo" not in card
  assert str(run) not in card  # whose disk it was is nobody's business


def test_a_policy_is_shared_with_its_own_row(run, tmp_path):
  sharing.write(run, tmp_path / "ppo", "ppo", 0)
  huggingface.load_language_model(tmp_path / "ppo")
  card = (tmp_path / "ppo" / "README.md").read_text()
  assert "| ppo | 0.3 | 0.875 |" in card and "qsharp |" not in card


def test_what_a_run_does_not_have_is_named(run, tmp_path):
  with pytest.raises(InputError, match="one of ppo, of a finished run"):
    sharing.write(run, tmp_path / "dpo", "dpo", 0)
  with pytest.raises(InputError, match="round_7/value holds no model"):
    sharing.write(run, tmp_path / "seven", "values", 7)


@pytest.mark.parametrize("name", ["config.json", "report.json"])
def test_damaged_files_of_a_run_give_one_line(name, run, tmp_path):
  file = run / name
  content, refused = file.read_bytes(), 0
  for i, mutant in enumerate(
    (
      *mutations.documents(json.loads(content), 1, 60),
      *mutations.texts(content, 1, 60),
    )
  ):
    file.write_bytes(mutant)
    try:
      sharing.write(run, tmp_path / str(i), "ppo", 0)
    except InputError as error:
      refused += 1
      assert "\n" not in str(error)
      assert not (tmp_path / str(i)).exists()
  file.write_bytes(content)
  assert refused > 60


def test_a_push_makes_the_repository_and_uploads_the_folder(
  monkeypatch, tmp_path
):
  calls = []

  class Hub:
    def create_repo(self, name, *, private, exist_ok):
      calls.append(("create", name, private, exist_ok))
      return huggingface_hub.RepoUrl(f"hf://{name}")

    def upload_folder(self, *, repo_id, folder_path):
      calls.append(("upload", repo_id, folder_path))

  monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
  assert "me/values" in sharing.push(tmp_path, "me/values", True)
  assert calls == [
    ("create", "me/values", True, True),
    ("upload", "me/values", str(tmp_path)),
  ]
