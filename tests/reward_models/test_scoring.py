"""Scores of reward models, beside transformers' torch classes."""

import jax
import numpy as np
import pytest
from oracles import micro_runs, torch_models
from oracles import reward_models as make

from qsharp_jax import models, sharding
from qsharp_jax.core.errors import InputError
from qsharp_jax.reward_models import scoring
from qsharp_jax.sharding import mesh as mesh_lib

LENGTHS = [1, 9, 31, 33, 40, 17, 50, 64]
END = 96  # of a text, and the padding, too


def sequences():
  """Random texts; most of them end with the token that pads, one holds two."""
  rng = np.random.default_rng(1)
  found = [rng.integers(0, END, n).tolist() for n in LENGTHS]
  for ids in found[2:]:
    ids[-1] = END
  found[4][-2] = END
  return found


@pytest.fixture(scope="module")
def both(tmp_path_factory):
  """A scorer, and a torch model's scores of single texts without padding."""
  torch = pytest.importorskip("torch", reason="the parity tests need torch")
  directory = tmp_path_factory.mktemp("classifier")
  torch_model = torch_models.build(
    "qwen2",
    auto="AutoModelForSequenceClassification",
    num_labels=1,
    pad_token_id=END,
    eos_token_id=END,
    max_position_embeddings=64,
  )
  torch_model.save_pretrained(directory)
  with torch.no_grad():
    # Its own read-out, the last token that does not pad, would be another one.
    hidden = [
      torch_model.model(torch.tensor([ids])).last_hidden_state[0, -1]
      for ids in sequences()
    ]
    expected = [float(torch_model.score(h)) for h in hidden]
  return scoring.load(directory, micro_runs.one_device()), expected


def test_scores_equal_torch_though_the_padding_ends_texts(both):
  scorer, expected = both
  found = scorer.scores(sequences())
  assert found.dtype == np.float32 and found.std() > 0.3
  np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_scores_are_the_same_to_the_bit_in_any_company(both):
  scorer, _ = both
  texts = sequences()
  together = scorer.scores(texts)
  alone = np.concatenate([scorer.scores([ids]) for ids in texts])
  np.testing.assert_array_equal(alone, together)
  order = np.random.default_rng(2).permutation(len(texts) * 9)
  many = scorer.scores([texts[i % len(texts)] for i in order])
  np.testing.assert_array_equal(many, together[order % len(texts)])
  assert scorer.scores([]).shape == (0,)


@pytest.mark.skipif(jax.device_count() != 8, reason="needs 8 devices")
def test_devices_share_rows_and_weights(both):
  scorer, expected = both
  layout = sharding.Layout(mesh_lib.make_mesh((2, 2, 2)))
  params = jax.device_put(scorer.params, layout.for_training(scorer.model))
  shared = scoring.Scorer(scorer.model, params, layout)
  np.testing.assert_allclose(
    shared.scores(sequences()), expected, atol=1e-4, rtol=0
  )
  sizes = [
    scoring.needed(scorer.model, where, 64) for where in (scorer.layout, layout)
  ]
  assert sizes[1] < sizes[0] / 2


def test_what_is_needed_grows_with_weights_and_length(both):
  scorer, _ = both
  weights = sum(x.nbytes for x in jax.tree.leaves(scorer.params))
  short, long = (
    scoring.needed(scorer.model, scorer.layout, n) for n in (10, 64)
  )
  assert weights < short < long
  assert scoring.needed(scorer.model, scorer.layout, 10**6) == long


@pytest.mark.parametrize(
  ("length", "width"),
  [(1, 32), (32, 32), (33, 48), (49, 64), (65, 96), (97, 128), (1000, 1024)],
)
def test_rows_are_padded_by_their_own_length(length, width):
  assert scoring._width(length, 4096) == width
  assert scoring._width(length, max(length, 40)) <= max(length, 40)


def test_a_model_of_two_labels_is_refused(tmp_path):
  directory = make.save(tmp_path, num_labels=2)
  with pytest.raises(InputError) as error:
    scoring.load(directory, micro_runs.one_device())
  assert "sequence classifier with 2 labels; expected a reward" in str(
    error.value
  )
  assert "\n" not in str(error.value)


def test_pickled_weights_are_refused(tmp_path):
  directory = make.save(tmp_path)
  (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
  with pytest.raises(InputError, match="model.safetensors") as error:
    scoring.load(directory, micro_runs.one_device())
  assert "convert" in str(error.value) and "\n" not in str(error.value)


def test_a_language_model_is_no_reward_model(tmp_path):
  make.save(tmp_path)
  with pytest.raises(InputError, match="no sequence classifier"):
    scoring.describe(tmp_path / "language_model")
  assert isinstance(scoring.describe(tmp_path / "model"), models.ValueModel)
