import json

import pytest

from experiments.harness import runs
from qsharp_jax.core.errors import InputError


def test_where_there_is_no_run_it_says_so(tmp_path):
  with pytest.raises(InputError, match="holds no run"):
    runs.config(tmp_path)


def test_the_support_that_round_1_has_shown_is_part_of_it(tmp_path):
  value = {"v_min": None, "v_max": None, "start": "there"}
  value |= {"num_new_layers": 0}
  content = {"reference": "here", "value": value}
  (tmp_path / "config.json").write_text(json.dumps(content))
  assert runs.config(tmp_path).value.v_min is None
  (tmp_path / "support.json").write_text('{"v_min": -1.0, "v_max": 2.0}')
  found = runs.config(tmp_path)
  assert (found.value.v_min, found.value.v_max) == (-1.0, 2.0)
  assert found.reference == "here"
