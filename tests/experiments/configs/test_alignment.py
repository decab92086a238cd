import pytest

from experiments.configs import alignment
from experiments.harness import checks, questions


@pytest.mark.parametrize(
  "variant", ["tiny", "hh", "ultrafeedback", "nectar", "local"]
)
def test_every_variant_means_something(variant):
  config = alignment.get_config(variant)
  checks.check(config)
  assert config.variant == variant
  assert questions.dialogues(config)


def test_answers_fit_what_is_sampled():
  """No answer of the tiny corpus is longer than the tokens it may have."""
  config = alignment.get_config("tiny")
  own = questions.dialogues(config)
  longest = max(len(q.answer.split()) for q in own.answered(500))
  assert longest <= config.sampling.max_new_tokens
