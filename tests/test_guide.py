"""The library in one object: what it loads, samples and refuses."""

import json
import shutil

import numpy as np
import pytest
from oracles import decoders, model_directories

import qsharp_jax
from qsharp_jax import data, generate, models
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core.errors import InputError

QUESTION = "Ann has 12 pens and buys 3. How many?"
SHORT = generate.Sampling(max_new_tokens=6, batch_size=2)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
  return model_directories.qwen2(tmp_path_factory.mktemp("models") / "ref")


@pytest.fixture(scope="module")
def values(reference):
  """Random values on a support from -2 to 1, as a run writes them."""
  directory = reference.parent / "values"
  config, _ = huggingface.load_language_model(reference)
  head = models.HeadConfig("v", 4)
  saving.save_value_model(
    directory,
    config,
    head,
    decoders.params(models.ValueModel(config, head), 1),
    "qwen2",
    reads_as={"loss": "categorical", "support": [-2.0, 1.0]},
  )
  huggingface.copy_tokenizer(reference, directory)
  return directory


@pytest.fixture(scope="module")
def guide(reference, values):
  return qsharp_jax.load(reference, values=values)


def test_values_are_read_as_they_were_trained(guide, values):
  assert guide.critic.loss == "categorical"
  np.testing.assert_allclose(guide.critic.atoms, [-2, -1, 0, 1], atol=1e-6)
  answer = guide.generate(QUESTION, sampling=SHORT)[0]
  prompt = data.prompts.render(QUESTION, guide.tokenizer, guide.form)
  config, head, params = huggingface.load_value_model(values)
  tokens = np.array([[*prompt, *answer.tokens]], np.int32)
  positions = np.arange(tokens.shape[1], dtype=np.int32)[None]
  logits = np.asarray(
    models.ValueModel(config, head).apply(params, tokens, positions)
  )[0, len(prompt) :]
  chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  np.testing.assert_allclose(
    answer.values, chances @ [-2.0, -1.0, 0.0, 1.0], rtol=1e-5, atol=1e-5
  )


def test_samples_depend_on_question_seed_and_number_alone(guide):
  alone = guide.generate(QUESTION, num_samples=2, sampling=SHORT)
  _, again = guide.generate(["Who?", QUESTION], num_samples=2, sampling=SHORT)
  for one, other in zip(alone, again, strict=True):
    np.testing.assert_array_equal(one.tokens, other.tokens)
  other = guide.generate(QUESTION, num_samples=2, seed=1, sampling=SHORT)
  assert any(
    one.text != two.text for one, two in zip(alone, other, strict=True)
  )
  assert alone[0].text != alone[1].text


def test_guidance_costs_kl_and_the_reference_none(guide):
  plain = guide.generate(QUESTION, eta=None, num_samples=2, sampling=SHORT)
  assert max(answer.kl for answer in plain) < 1e-5
  strong = guide.generate(QUESTION, eta=0.05, num_samples=2, sampling=SHORT)
  assert all(answer.kl > 0.01 for answer in strong)


def test_without_saying_how_answers_fill_the_context(guide):
  answer = guide.generate(QUESTION)[0]
  prompt = data.prompts.render(QUESTION, guide.tokenizer, guide.form)
  assert answer.ended or len(answer.tokens) + len(prompt) == 128


def test_answers_end_where_those_did_that_the_values_learnt_from(
  guide, reference, values, tmp_path
):
  plain = guide.generate(QUESTION, sampling=SHORT)[0]
  stop = guide.tokenizer.decode(plain.tokens[2:4].tolist())
  whole = plain.text
  assert stop and whole.index(stop) > 0
  shutil.copytree(values, tmp_path / "values")
  raw = json.loads((values / "config.json").read_text())
  raw["value_head"]["stop"] = [stop]
  (tmp_path / "values" / "config.json").write_text(json.dumps(raw))
  (tmp_path / "values" / "digests.json").unlink()
  stopped = qsharp_jax.load(reference, values=tmp_path / "values")
  answer = stopped.generate(QUESTION, sampling=SHORT)[0]
  assert answer.ended and answer.text == whole[: whole.index(stop)]
  told = [guide.tokenizer.decode(plain.tokens[:n].tolist()) for n in range(7)]
  length = next(n for n, text in enumerate(told) if stop in text)
  np.testing.assert_array_equal(answer.tokens, plain.tokens[:length])
  asked = qsharp_jax.load(reference, values=values, stop=[stop])
  assert asked.generate(QUESTION, sampling=SHORT)[0].text == answer.text
  silent = qsharp_jax.load(reference, values=tmp_path / "values", stop=())
  assert silent.generate(QUESTION, sampling=SHORT)[0].text == whole
  raw["value_head"]["stop"] = stop
  (tmp_path / "values" / "config.json").write_text(json.dumps(raw))
  with pytest.raises(InputError, match="expected a list of texts"):
    qsharp_jax.load(reference, values=tmp_path / "values")


def test_a_reference_alone_says_that_it_has_no_values(reference):
  guide = qsharp_jax.load(reference)
  assert guide.generate(QUESTION, eta=None, sampling=SHORT)[0].values is None
  with pytest.raises(InputError, match="there are no values to guide by"):
    guide.generate(QUESTION, sampling=SHORT)


def test_what_cannot_be_is_refused_by_name(guide, reference, values, tmp_path):
  with pytest.raises(InputError, match="no guidance 'foo'; choose from qsharp"):
    guide.generate(QUESTION, method="foo", sampling=SHORT)
  with pytest.raises(InputError, match="eta of request 0 is -1"):
    guide.generate(QUESTION, eta=-1.0, sampling=SHORT)
  with pytest.raises(InputError, match="is no value model"):
    qsharp_jax.load(reference, values=reference)
  for said in ({"loss": "categorical"}, {"loss": "hinge"}, {}):
    raw = json.loads((values / "config.json").read_text())
    raw["value_head"] = {"kind": "v", "num_atoms": 4} | said
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(InputError, match="expected the loss, and of a categ"):
      qsharp_jax.load(reference, values=tmp_path)
