"""Reward models that learn planted utilities from noisy preferences."""

import json

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import finetuning as oracle
from oracles import preferences as preferences_oracle

from qsharp_jax import data, models, training
from qsharp_jax.checkpoint import families, huggingface, saving
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.preferences import Preference
from qsharp_jax.reward_models import bradley_terry, scoring, texts
from qsharp_jax.training import rows as rows_lib

WORTH = dict(zip("abcdefgh", np.linspace(-1.05, 1.05, 8), strict=True))
TEMPLATE = (
  "{% for m in messages %}{{ m['role'] }} {{ m['content'] }}<|end|>"
  "{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
)
LENGTH = 32


def utility(answer):
  return sum(WORTH[word] for word in answer.split())


def preferences(num, seed):
  """Pairs whose winner is drawn with the odds of their utilities."""
  rng = np.random.default_rng(seed)
  found = []
  for i in range(num):
    one, other = (" ".join(rng.choice(list(WORTH), 4)) for _ in range(2))
    odds = np.exp(utility(one) - utility(other))
    if rng.random() > odds / (1 + odds):
      one, other = other, one
    if one != other:
      found.append(Preference(f"p-{i}", f"q {i % 3}", one, other))
  return found


@pytest.fixture(scope="module")
def start(tmp_path_factory):
  """A random language model whose tokenizer knows whole words."""
  directory = tmp_path_factory.mktemp("start")
  words = [*WORTH, "q", "user", "assistant", *map(str, range(10))]
  data.new_tokenizers.word_level(words, directory=directory)
  hf = data.tokenizer.load(directory).hf
  hf.chat_template = TEMPLATE
  config = families.from_hf(
    {
      "model_type": "llama",
      "vocab_size": 24,
      "hidden_size": 32,
      "num_hidden_layers": 1,
      "num_attention_heads": 2,
      "intermediate_size": 48,
      "max_position_embeddings": 64,
    }
  )
  saving.save_language_model(
    directory / "model",
    config,
    decoders.params(models.LanguageModel(config)),
    "llama",
    token_ids={"eos_token_id": 1, "pad_token_id": 0},
  )
  huggingface.seal(directory / "model", hf.save_pretrained)
  return directory / "model"


def fitted(start, directory, pairs, **more):
  how = training.Fit(
    learning_rate=2e-3, schedule="cosine", batch_size=16,
    num_epochs=1, max_length=LENGTH, b2=0.95, warmup_steps=5,
  )  # fmt: skip
  tokenizer = data.tokenizer.load(start)
  has_margin = more.pop("has_margin", False)
  rows = bradley_terry.pack(
    pairs, tokenizer, length=LENGTH, has_margin=has_margin
  )
  layout = micro_runs.one_device()
  with layout.context():
    model, params = bradley_terry.train(
      start, rows, how, layout, directory, **more
    )
    bradley_terry.save(directory / "model", model, params, start)
  return directory / "model"


@pytest.fixture(scope="module")
def trained(start, tmp_path_factory):
  directory = tmp_path_factory.mktemp("trained")
  return fitted(start, directory, preferences(9000, seed=1))


def read(directory, pairs):
  """Scores of chosen and rejected answers, [2, P], and their tokens."""
  tokenizer = data.tokenizer.load(directory)
  tokens = [
    texts.tokens(tokenizer, p.question, answer)
    for answers in ([p.chosen for p in pairs], [p.rejected for p in pairs])
    for p, answer in zip(pairs, answers, strict=True)
  ]
  scorer = scoring.load(directory, micro_runs.one_device())
  return scorer.scores(tokens).reshape(2, -1), tokens


def test_planted_utilities_are_recovered_on_held_out_pairs(trained):
  held_out = preferences(200, seed=2)
  scores, _ = read(trained, held_out)
  truth = [utility(p.chosen) - utility(p.rejected) for p in held_out]
  found = np.corrcoef(scores[0] - scores[1], truth)[0, 1]
  assert found >= 0.95
  scorer = scoring.load(trained, micro_runs.one_device())
  tokenizer = data.tokenizer.load(trained)
  agrees = bradley_terry.accuracy(scorer, tokenizer, held_out)
  assert agrees == np.mean(scores[0] > scores[1])
  best = np.mean(np.array(truth) > 0)  # what the noise leaves
  assert best - 0.05 <= agrees <= 1


def test_transformers_loads_it_with_equal_scores(trained):
  torch = pytest.importorskip("torch", reason="the parity tests need torch")
  import transformers

  pairs = preferences(12, seed=3)
  scores, tokens = read(trained, pairs)
  auto = transformers.AutoModelForSequenceClassification
  model, info = auto.from_pretrained(trained, output_loading_info=True)
  assert not info["missing_keys"] and model.config.num_labels == 1
  hf = transformers.AutoTokenizer.from_pretrained(trained)
  said = [
    [{"role": "user", "content": p.question},
     {"role": "assistant", "content": p.chosen}]
    for p in pairs
  ]  # fmt: skip
  encoded = hf.apply_chat_template(
    said, padding=True, return_tensors="pt", return_dict=True
  )
  with torch.no_grad():
    together = model.eval()(
      encoded["input_ids"], attention_mask=encoded["attention_mask"]
    )
    alone = [float(model(torch.tensor([t])).logits) for t in tokens]
  np.testing.assert_allclose(together.logits[:, 0], scores[0], atol=1e-4)
  np.testing.assert_allclose(alone, scores.reshape(-1), atol=1e-4)


def test_a_padding_token_that_ends_texts_is_not_named(start, tmp_path):
  for file in start.iterdir():
    (tmp_path / file.name).write_bytes(file.read_bytes())
  (tmp_path / "digests.json").unlink()
  raw = json.loads((tmp_path / "config.json").read_text())
  (tmp_path / "config.json").write_text(json.dumps(raw | {"pad_token_id": 1}))
  model = bradley_terry.started(tmp_path)
  saved = tmp_path / "saved"
  bradley_terry.save(saved, model, decoders.params(model), tmp_path)
  raw = huggingface.read_config(saved)
  assert raw["eos_token_id"] == 1 and "pad_token_id" not in raw
  assert huggingface.saved_head(raw) == models.HeadConfig("v", 1)


def margins():
  return [
    Preference("a", "q 1", "a b", "c", 0.5),
    Preference("b", "q 2", "d", "e f g", 2.0),
    Preference("c", "q 3", "h h", "a", 0.0),
  ]


def test_the_loss_is_that_of_the_scores_at_the_ends(start):
  tokenizer = data.tokenizer.load(start)
  rows = bradley_terry.pack(
    margins(), tokenizer, length=LENGTH, has_margin=True
  )
  model = bradley_terry.started(start)
  params = decoders.params(model, 3)
  scorer = scoring.Scorer(model, params, micro_runs.one_device())
  total = 0.0
  for p in margins():
    both = [
      texts.tokens(tokenizer, p.question, x) for x in (p.chosen, p.rejected)
    ]
    chosen, rejected = map(float, scorer.scores(both))
    total += preferences_oracle.bradley_terry(chosen, rejected, p.margin, 0.1)
  padded = rows_lib.completed(rows, len(rows.tokens) + 2)
  objective = bradley_terry.objective(model, centring=0.1)
  found = jax.jit(objective)(params, oracle.batch(padded))
  np.testing.assert_allclose(found, (total, 3), rtol=1e-4)


def test_margins_are_wanted_where_they_are_asked_for(start):
  tokenizer = data.tokenizer.load(start)
  with pytest.raises(InputError, match="preference p-0: its margin is None"):
    bradley_terry.pack(
      preferences(2, 1), tokenizer, length=LENGTH, has_margin=True
    )


def test_what_exceeds_a_row_is_left_out(start, caplog):
  tokenizer = data.tokenizer.load(start)
  long = Preference("long", "q 1", "a " * 20, "b " * 20)
  rows = bradley_terry.pack([*margins(), long], tokenizer, length=LENGTH)
  assert len(rows.tokens) == 3
  with pytest.raises(InputError, match="none of 1 preferences fits a row"):
    bradley_terry.pack([long], tokenizer, length=LENGTH)


def test_training_goes_on_from_a_reward_model(trained, start, tmp_path):
  pairs = preferences(64, seed=4)
  again = fitted(trained, tmp_path, pairs, centring=10.0)
  before, _ = read(trained, pairs)
  after, _ = read(again, pairs)
  assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9
  # Centring draws sums of scores to 0.
  assert abs(after.mean()) < abs(before.mean()) or abs(before.mean()) < 0.05
