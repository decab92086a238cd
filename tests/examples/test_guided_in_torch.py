"""The example in torch draws from the distribution that our decode loop has."""

import importlib.util
import pathlib

import numpy as np
import pytest
from oracles import decoders, model_directories

import qsharp_jax
from qsharp_jax import data, generate, models
from qsharp_jax.checkpoint import huggingface, saving

FILE = pathlib.Path(__file__).parents[2] / "examples" / "guided_in_torch.py"
ETA = 0.3


@pytest.fixture(scope="module")
def example():
  pytest.importorskip("torch")
  spec = importlib.util.spec_from_file_location("guided_in_torch", FILE)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
  return model_directories.qwen2(tmp_path_factory.mktemp("models") / "ref")


def save_values(directory, reference, num_atoms, reads_as):
  config, _ = huggingface.load_language_model(reference)
  head = models.HeadConfig("v", num_atoms)
  params = decoders.params(models.ValueModel(config, head), 1)
  saving.save_value_model(
    directory, config, head, params, "qwen2", reads_as=reads_as
  )
  huggingface.copy_tokenizer(reference, directory)
  return directory


@pytest.mark.parametrize(
  ("num_atoms", "reads_as"),
  [
    (1, {"loss": "bernoulli", "support": None}),
    (5, {"loss": "categorical", "support": [-2.0, 1.0]}),
  ],
)
def test_log_probs_are_those_of_our_loop(
  example, reference, tmp_path, num_atoms, reads_as
):
  import torch

  values = save_values(tmp_path / "value", reference, num_atoms, reads_as)
  guide = qsharp_jax.load(reference, values=values)
  questions = [f"Ann has {i} pens and buys {i * i}." for i in range(20)]
  prompts = [
    data.prompts.render(question, guide.tokenizer, guide.form)
    for question in questions
  ]
  sampling = generate.Sampling(max_new_tokens=4, batch_size=20)
  requests = [
    generate.Request(prompt, [i], ETA) for i, prompt in enumerate(prompts)
  ]
  found = generate.generate(guide.policy, guide.params, requests, sampling)
  load = example.transformers.AutoModelForCausalLM.from_pretrained
  theirs, processor = load(reference).eval(), example.Guide(values, eta=ETA)
  for prompt, (answer,) in zip(prompts, found, strict=True):
    for t, token in enumerate(answer.tokens):
      prefix = torch.tensor([[*prompt, *answer.tokens[:t].tolist()]])
      with torch.no_grad():
        logits = processor(prefix, theirs(prefix).logits[:, -1])
      log_probs = torch.log_softmax(logits, dim=-1)[0]
      np.testing.assert_allclose(
        log_probs[int(token)], answer.log_probs[t], atol=1e-4
      )


def test_a_head_that_torch_cannot_read_is_refused(example, reference, tmp_path):
  config, _ = huggingface.load_language_model(reference)
  head = models.HeadConfig("q", 1)
  params = decoders.params(models.ValueModel(config, head), 1)
  saving.save_value_model(tmp_path, config, head, params, "qwen2")
  with pytest.raises(ValueError, match="expected one that transformers"):
    example.Guide(tmp_path, eta=ETA)
