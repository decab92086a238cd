"""From requests to rows and back."""

import dataclasses
import types

import numpy as np
import pytest
from oracles import players

from qsharp_jax import generate
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import reading
from qsharp_jax.generate import requests as requests_lib

SAMPLING = requests_lib.Sampling(temperature=0.5, top_p=0.9, max_new_tokens=7)


def request(size, seeds, **fields):
  return requests_lib.Request(list(range(1, size + 1)), seeds, **fields)


def test_a_completion_is_a_copy_of_its_row_up_to_its_end():
  table = np.arange(8.0).reshape(2, 4)
  state = types.SimpleNamespace(
    lengths=np.array([2, 4]),
    turns=np.array([6, 4]),
    scored=np.array([9, 8]),
    ended=np.array([True, False]),
    tokens=table.astype(np.int32),
    log_probs=-table,
    ref_log_probs=-2 * table,
    kl=3 * table,
    kl_filtered=4 * table,
  )
  found = requests_lib.completion(state, 0, 3, extra_forwards=5)
  assert found.tokens.tolist() == [0, 1] and found.ended
  for name, factor in (("log_probs", -1), ("ref_log_probs", -2), ("kl", 3)):
    np.testing.assert_array_equal(getattr(found, name), [0, factor])
  assert found.kl_filtered.tolist() == [0, 4]
  assert found.num_forwards == 3 * (1 + 6) + 5
  assert found.num_scored == 9
  state.tokens[:] = 9
  assert found.tokens.tolist() == [0, 1]
  assert not requests_lib.completion(state, 1, 1).ended


def check(length, *, context=100, row_length=100):
  requests_lib.check_length(
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
      requests_lib.check(players.policy("v"), [fine, wrong], players.SAMPLING)


VOCAB = players.VOCAB


@pytest.mark.parametrize(
  ("prompt", "says"),
  [
    ([5, VOCAB], f"request 1 has the token id {VOCAB}; expected 0 to"),
    ([5, 500], "request 1 has the token id 500"),
    ([-1, 5], "request 1 has the token id -1"),
    ([1.5, 5], r"request 1 is \[1.5, 5\]; expected a list of token ids"),
    (["a"], "expected a list of token ids"),
    ([[1], [2]], "expected a list of token ids"),
  ],
)
def test_tokens_that_no_model_knows_are_refused(prompt, says):
  fine = generate.Request([VOCAB - 1, 0], [1])
  wrong = generate.Request(prompt, [1])
  with pytest.raises(InputError, match=says) as refused:
    requests_lib.check(players.policy("v"), [fine, wrong], players.SAMPLING)
  assert "\n" not in str(refused.value)


def test_the_smallest_vocabulary_of_all_models_counts():
  policy = players.policy("v")
  few = dataclasses.replace(policy.value.config, vocab_size=VOCAB - 2)
  value = policy.value.clone(config=few)
  policy = dataclasses.replace(policy, value=value)
  request = generate.Request([VOCAB - 2], [1])
  with pytest.raises(InputError, match=f"expected 0 to {VOCAB - 3}"):
    requests_lib.check(policy, [request], players.SAMPLING)


@pytest.mark.parametrize(
  ("own", "limit"), [(None, 7), (0, 0), (3, 3), (7, 7), (9, 7)]
)
def test_a_request_may_have_fewer_tokens_and_even_none(own, limit):
  controls = reading.make_controls(
    [request(2, [1, 2], max_new_tokens=own)], 2, 0, SAMPLING
  )
  assert controls.max_new_tokens.tolist() == [limit, limit]
