"""Numbers that no field can have, in one line; commands: test_wrong_inputs."""

import pytest

from experiments.configs import gsm8k
from experiments.harness import checks
from qsharp_jax.core.errors import InputError


@pytest.mark.parametrize("number", [0, -4])
def test_some_sample_of_every_question_has_a_kl(number):
  config = gsm8k.get_config("tiny")
  config.evaluation.kl_every = number
  with pytest.raises(InputError) as error:
    checks.check(config)
  says = f"evaluation.kl_every is {number}; expected at least 1"
  assert str(error.value) == says
