import json

import pytest
from oracles import model_directories

from qsharp_jax.core import digests
from qsharp_jax.pipeline import contents


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  return model_directories.qwen2(tmp_path_factory.mktemp("model") / "m")


@pytest.mark.parametrize("content", ["", "[]", '{"x": 3}', "{"])
def test_a_damaged_table_of_digests_is_made_again(model, tmp_path, content):
  file = tmp_path / "weights.json"
  weights = contents.Weights(file)
  digest = weights.digest(model)
  weights.save()
  good = file.read_text()
  file.write_text(content)
  again = contents.Weights(file)
  assert again.digest(model) == digest
  again.save()
  assert file.read_text() == good


def test_a_file_is_read_again_only_when_it_changed(
  model, tmp_path, monkeypatch
):
  weights = contents.Weights(tmp_path / "weights.json")
  before = weights.digest(model)
  monkeypatch.setattr(digests, "of_file", lambda path: "other")
  assert weights.digest(model) == before
  known = json.loads((model / "config.json").read_text())
  (model / "config.json").write_text(json.dumps(known | {"more": 1}))
  assert weights.digest(model) != before
