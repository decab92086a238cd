"""Beam search against a search written out in numpy."""

import numpy as np
import pytest
from oracles import language_models, players

from qsharp_jax import generate
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import beam

POLICY = generate.Policy(
  language_models.MODEL, players.EOS, actor=language_models.MODEL
)
PARAMS = {
  "reference": language_models.params(2),
  "actor": language_models.params(8),
}
MOST = 5


def run(num_beams, num_samples=1):
  requests = [
    generate.Request(prompt, list(range(num_samples)))
    for prompt in players.prompts((5, 1, 8, 3))
  ]
  sampling = players.sampling(max_new_tokens=MOST)
  groups = beam.generate(
    POLICY, PARAMS, requests, sampling, num_beams=num_beams
  )
  return requests, list(groups)


def searched(prompt, num_beams):
  """Beams (score, tokens), the best first."""
  beams = [(0.0, [])]
  is_over = lambda tokens: (
    len(tokens) == MOST or (tokens and tokens[-1] in players.EOS)
  )
  while not all(is_over(tokens) for _, tokens in beams):
    found = []
    for score, tokens in beams:
      if is_over(tokens):
        found.append((score, tokens))
        continue
      distribution = language_models.log_probs(8, prompt, [*tokens, 0])[-1]
      found += [
        (score + distribution[t], [*tokens, t]) for t in range(players.VOCAB)
      ]
    beams = sorted(found, key=lambda pair: -pair[0])[:num_beams]
  return beams


@pytest.mark.parametrize("num_beams", [1, 4])
def test_finds_the_beams_of_the_oracle(num_beams):
  requests, groups = run(num_beams, num_beams)
  for request, completions in zip(requests, groups, strict=True):
    expected = searched(request.prompt, num_beams)
    assert players.tokens(completions) == [tokens for _, tokens in expected]
    scores = [c.log_probs.sum() for c in completions]
    np.testing.assert_allclose(scores, [s for s, _ in expected], rtol=1e-4)
    for c in completions:
      # At the temperature that all other rows of a report sample at.
      distribution = language_models.log_probs(
        2, request.prompt, c.tokens, players.SAMPLING.temperature
      )
      surprise = -distribution[np.arange(len(c.tokens)), c.tokens]
      np.testing.assert_allclose(c.kl, surprise, rtol=1e-3, atol=1e-4)
      np.testing.assert_allclose(-c.ref_log_probs, c.kl, rtol=1e-6)


def test_more_beams_are_at_least_as_likely():
  score = lambda n: [group[0].log_probs.sum() for group in run(n)[1]]
  one, many = score(1), score(8)
  assert (np.array(many) >= np.array(one) - 1e-5).all()
  assert np.max(np.array(many) - one) > 0.1


def test_too_few_beams_are_refused():
  with pytest.raises(
    InputError, match="num_beams is 1; expected at least the 2"
  ):
    run(1, 2)
