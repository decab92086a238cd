"""Ids that end an answer, from either file."""

import json

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import end_ids


def write(folder, **contents):
  for name, content in contents.items():
    (folder / f"{name}.json").write_text(json.dumps(content))
  return folder


@pytest.mark.parametrize(
  ("general", "own", "found"),
  [
    ({"eos_token_id": 3}, {"eos_token_id": [3, 9]}, {3, 9}),
    ({"eos_token_id": None}, {"eos_token_id": 0}, {0}),
    ({"eos_token_id": []}, {}, set()),
    ({"eos_token_id": 7, "vocab_size": 8}, {"eos_token_id": 1}, {1, 7}),
  ],
)
def test_ids_of_both_files_end_answers(general, own, found, tmp_path):
  write(tmp_path, config=general, generation_config=own)
  assert end_ids.read(tmp_path) == found


def test_a_model_without_files_has_none(tmp_path):
  assert end_ids.read(tmp_path) == set()
  assert end_ids.settings(tmp_path, "config.json") == {}


@pytest.mark.parametrize(
  ("value", "bound"), [(8, 8), (-1, 8), (True, 8), ("3", 8), ([1, 2.0], None)]
)
def test_what_is_no_token_is_named(value, bound, tmp_path):
  write(tmp_path, config={"vocab_size": bound})
  write(tmp_path, generation_config={"eos_token_id": value})
  expected = "from 0 to 7" if bound else "from 0 upwards"
  with pytest.raises(InputError, match=expected) as error:
    end_ids.read(tmp_path)
  assert "generation_config.json: eos_token_id is" in str(error.value)


def test_a_list_is_no_configuration(tmp_path):
  write(tmp_path, config=[1])
  with pytest.raises(InputError, match=r"config\.json"):
    end_ids.settings(tmp_path, "config.json")
