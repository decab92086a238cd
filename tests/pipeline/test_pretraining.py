"""What a small reference is trained on, and what is saved of it."""

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs

from qsharp_jax import data, models, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.pipeline import pretraining

FIT = training.Fit(batch_size=2, max_length=64, seed=3)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  texts = ["How many? 1 2 3 4 5 6 7 8 9 0 #### Question: Answer:"]
  folder = tmp_path_factory.mktemp("tokenizer")
  return data.new_tokenizers.train_byte_level_bpe(
    texts, vocab_size=300, directory=folder
  )


def test_the_loss_is_on_answers_and_the_model_is_saved(
  tokenizer, tmp_path, monkeypatch
):
  asked = {}

  def fit(objective, params, epochs, how, layout, directory):
    asked.update(rows=epochs.rows, how=how, params=params)
    return jax.tree.map(lambda x: x + 1, params)

  monkeypatch.setattr(pretraining.fit_lib, "fit", fit)
  config = models.DecoderConfig(
    **{**vars(decoders.SMALLEST), "vocab_size": tokenizer.vocab_size}
  )
  questions = [data.Question("q", "How many?", "7 #### 7")]
  layout = micro_runs.one_device()
  with layout.context():
    pretraining.pretrain(config, questions, tokenizer, FIT, layout, tmp_path)
  rows = asked["rows"]
  answer = data.prompts.completion("7 #### 7", tokenizer)
  assert rows.tokens[rows.mask].tolist() == answer
  assert asked["how"] is FIT
  found, params = huggingface.load_language_model(tmp_path / "model")
  assert found.width == config.width
  jax.tree.map(
    lambda new, old: np.testing.assert_allclose(new, old + 1, rtol=1e-6),
    params,
    jax.device_get(asked["params"]),
  )
  assert data.end_ids.read(tmp_path / "model") == {tokenizer.eos_ids[0]}
  same = data.tokenizer.load(tmp_path / "model")
  data.tokenizer.check_same(tokenizer, same)
