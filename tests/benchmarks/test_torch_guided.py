"""All ways of guided decoding in PyTorch must do the same work."""

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracles import torch_models  # noqa: E402

from benchmarks.peers import torch_guided, torch_static  # noqa: E402

_K, _ETA, _NEW = 5, 0.2, 6


@functools.cache
def _models():
  value = torch_models.build(
    "llama_linear", auto="AutoModelForSequenceClassification", num_labels=1
  )
  return torch_models.build("llama"), value


def _prompts():
  numbers = np.random.default_rng(0).integers(1, 97, (3, 7))
  return torch.tensor(numbers)


def _generated(kind):
  """Greedy tokens [B, M], and value logits of the candidates [M, B, k]."""
  seen = []

  class Recording(kind):
    def _logits(self, input_ids, candidates):
      seen.append(super()._logits(input_ids, candidates))
      return seen[-1]

  reference, value = _models()
  make = lambda: Recording(value, eta=_ETA, num_candidates=_K)
  tokens = torch_guided.decode(
    reference,
    _prompts(),
    num_new_tokens=_NEW,
    make_guide=make,
    do_sample=False,
  )
  return tokens, torch.stack(seen)


def _static(guided: bool = True, **kwargs):
  seen = []

  class Greedy(torch_static.StaticDecoder):
    def _values(self, *args):
      seen.append(super()._values(*args))
      return seen[-1]

    def _draw(self, logits):
      return logits.argmax(-1, keepdim=True)

  reference, value = _models()
  sizes = dict(batch=3, max_length=7 + _NEW, eta=_ETA, num_candidates=_K)
  decoder = Greedy(reference, value if guided else None, **sizes | kwargs)
  tokens = decoder(_prompts(), num_new_tokens=_NEW)
  again = decoder(_prompts(), num_new_tokens=_NEW)  # in the same buffers
  assert torch.equal(tokens, again)
  return tokens, torch.stack(seen[:_NEW]) if seen else None


def test_one_pass_and_two_passes_agree():
  tokens, values = _generated(torch_guided.TwoPassGuide)
  same_tokens, same_values = _generated(torch_guided.OnePassGuide)
  assert tokens.shape == (3, _NEW)
  assert torch.equal(tokens, same_tokens)
  torch.testing.assert_close(values, same_values, rtol=1e-4, atol=1e-4)


def test_static_agrees_with_generate():
  tokens, values = _generated(torch_guided.TwoPassGuide)
  same_tokens, same_values = _static()
  assert torch.equal(tokens, same_tokens)
  torch.testing.assert_close(values, same_values, rtol=1e-4, atol=1e-4)


def test_unguided_static_agrees_with_generate():
  reference, _ = _models()
  tokens = torch_guided.decode(
    reference, _prompts(), num_new_tokens=_NEW, do_sample=False
  )
  same, _ = _static(guided=False)
  assert torch.equal(tokens, same)
  guided, _ = _static()
  assert not torch.equal(tokens, guided)  # the guide does decide something


def test_values_are_those_of_whole_prefixes():
  reference, value = _models()
  tokens, values = _static()
  rows = torch.cat([_prompts(), tokens], dim=1)
  with torch.inference_mode():
    for step in (0, _NEW - 1):
      prefix = rows[:, : 7 + step]
      candidates = reference(prefix).logits[:, -1].topk(_K).indices
      for i in range(_K):
        whole = torch.cat([prefix, candidates[:, i : i + 1]], dim=1)
        hidden = value.model(input_ids=whole).last_hidden_state[:, -1]
        torch.testing.assert_close(
          value.score(hidden)[:, 0], values[step][:, i], rtol=1e-3, atol=1e-3
        )


def test_static_draws_from_the_law():
  reference, _ = _models()
  decoder = torch_static.StaticDecoder(reference, batch=1, max_length=2)
  distribution = torch.tensor([0.5, 0.0, 0.3, 0.2])
  torch.manual_seed(0)
  drawn = decoder._draw(distribution.log().expand(20_000, 4))[:, 0]
  found = torch.bincount(drawn, minlength=4) / 20_000
  torch.testing.assert_close(found, distribution, rtol=0, atol=0.015)
  assert found[1] == 0
