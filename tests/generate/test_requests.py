import numpy as np
import pytest
from oracles import players

from qsharp_jax import generate
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import requests


def check(length, *, context=100, row_length=100):
  requests.check_length(
    "question long",
    length,
    max_new_tokens=10,
    limits={
      "the models' context": context,
      "the rows of training, fit.max_length,": row_length,
    },
  )


def test_what_just_fits_passes():
  check(1)
  check(90)
  check(20, context=30)
  check(20, row_length=30)


@pytest.mark.parametrize(
  ("limit", "says"),
  [
    ({"context": 30}, "context of 30"),
    ({"row_length": 30}, "fit.max_length, of 30"),
  ],
)
def test_names_the_question_and_the_limit(limit, says):
  with pytest.raises(InputError, match="question long has 21 tokens.*20") as e:
    check(21, **limit)
  assert says in str(e.value)


def test_refuses_an_empty_prompt():
  with pytest.raises(InputError, match="question long has 0 tokens.* 1 to 90"):
    check(0)


@pytest.mark.parametrize(
  ("id", "says"), [("gsm8k-12", "question gsm8k-12"), ("", "request 1")]
)
def test_the_decode_loop_refuses_by_the_same_check(id, says):
  room = players.CONFIG.max_length - players.SAMPLING.max_new_tokens
  fine = generate.Request([5], [1], id="fine")
  for wrong, reason in (
    (generate.Request([5] * (room + 1), [1], id=id), f"the prompt of {says}"),
    (generate.Request([5], [1], np.nan, id=id), f"eta of {says} is nan"),
  ):
    with pytest.raises(InputError, match=reason):
      requests.check(players.policy("v"), [fine, wrong], players.SAMPLING)
