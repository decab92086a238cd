"""Sequence classifiers beside transformers' torch classes."""

import json

import jax
import numpy as np
import pytest
from oracles import decoders, torch_models

from qsharp_jax import models
from qsharp_jax.checkpoint import classifiers, saving
from qsharp_jax.core.errors import InputError

LENGTHS, PAD = [9, 4, 1], 96


def _rows(config):
  """Rows of unequal length, without the padding token among their tokens."""
  tokens, mask, positions = decoders.left_padded(LENGTHS, 9, PAD)
  return np.where(mask, tokens, PAD), mask, positions


@pytest.mark.parametrize("variant", torch_models.FIRST_OF_FAMILY.values())
def test_scores_equal_torch_whatever_the_side_of_the_padding(variant, tmp_path):
  torch = pytest.importorskip("torch", reason="the parity tests need torch")
  num_labels = 3 if variant in ("llama", "neox", "gemma2") else 1
  torch_model = torch_models.build(
    variant,
    auto="AutoModelForSequenceClassification",
    num_labels=num_labels,
    pad_token_id=PAD,
  )
  torch_model.save_pretrained(tmp_path)
  config, head, params = classifiers.load(tmp_path)
  assert head == models.HeadConfig("v", num_labels)
  assert classifiers.describe(tmp_path) == (config, head)
  tokens, mask, positions = _rows(config)
  apply = jax.jit(models.ValueModel(config, head).apply)
  logits = np.asarray(apply(params, tokens, positions))
  with torch.no_grad():
    expected = torch_model(
      torch.tensor(tokens).long(),
      attention_mask=torch.tensor(mask).long(),
      position_ids=torch.tensor(np.maximum(positions, 0)).long(),
    ).logits.numpy()
  assert expected.shape == (3, num_labels) and np.abs(expected).max() > 0.3
  np.testing.assert_allclose(logits[:, -1], expected, atol=1e-4, rtol=0)
  # The same texts at the left of their rows.
  rows = [list(row[own]) for row, own in zip(tokens, mask, strict=True)]
  logits = apply(params, *decoders.right_padded(rows, 9))
  last = np.array(LENGTHS) - 1
  np.testing.assert_allclose(
    logits[np.arange(3), last], expected, atol=1e-4, rtol=0
  )


def _saved(path, head=None):
  config = decoders.config("llama")
  if head is None:
    params = decoders.params(models.LanguageModel(config))
    saving.save_language_model(path, config, params, "llama")
  else:
    params = decoders.params(models.ValueModel(config, head))
    saving.save_value_model(path, config, head, params, "llama")


@pytest.mark.parametrize(
  "head",
  [None, models.HeadConfig("q"), models.HeadConfig("v", 1, 1)],
  ids=["language_model", "q", "predicting"],
)
def test_other_models_are_no_classifiers(head, tmp_path):
  _saved(tmp_path / "m", head)
  says = "no sequence classifier.*expected LlamaForSequenceClassification"
  with pytest.raises(InputError, match=says) as error:
    classifiers.load(tmp_path / "m")
  assert "\n" not in str(error.value)


def test_a_head_of_another_class_is_named(tmp_path):
  _saved(tmp_path / "m", models.HeadConfig("v", 1))
  file = tmp_path / "m" / "config.json"
  raw = json.loads(file.read_text())
  del raw["value_head"]
  raw["architectures"] = ["LlamaForRewardModelWithGating"]
  file.write_text(json.dumps(raw))
  with pytest.raises(InputError, match="LlamaForRewardModelWithGating"):
    classifiers.describe(tmp_path / "m")
