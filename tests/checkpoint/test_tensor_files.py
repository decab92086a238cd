"""Safetensors files, written whole and read in slices."""

import json

import ml_dtypes
import numpy as np
import pytest

from qsharp_jax.checkpoint import tensor_files
from qsharp_jax.core.errors import InputError


def tensors():
  rng = np.random.default_rng(0)
  return {name: rng.normal(size=(4, 3)).astype(np.float32) for name in "abcde"}


def write(folder, found, most=10**6):
  tensor_files.write(
    folder, {"config.json": {"n": 1}}, found.items(), max_shard_bytes=most
  )
  return folder


@pytest.mark.parametrize(("most", "num_files"), [(10**6, 1), (100, 3), (1, 5)])
def test_slices_are_those_of_what_was_written(most, num_files, tmp_path):
  found = tensors()  # of 48 bytes each
  folder = write(tmp_path / "model", found, most)
  assert len(list(folder.glob("*.safetensors"))) == num_files
  assert (folder / tensor_files.INDEX).exists() == (num_files > 1)
  assert json.loads((folder / "config.json").read_text()) == {"n": 1}
  files = tensor_files.TensorFiles(folder)
  assert files.shapes == dict.fromkeys("abcde", (4, 3))
  for name, value in found.items():
    part = files.read(name, (slice(1, 3), slice(None)))
    np.testing.assert_array_equal(part, value[1:3])


def test_equal_tensors_are_equal_files(tmp_path):
  one, other = (
    (write(tmp_path / name, tensors()) / tensor_files.SINGLE).read_bytes()
    for name in ("one", "other")
  )
  assert one == other


def test_a_model_is_replaced_and_nothing_else(tmp_path):
  write(tmp_path / "model", tensors())
  write(tmp_path / "model", {"only": np.ones((2, 2), np.float32)})
  found = tensor_files.TensorFiles(tmp_path / "model")
  assert list(found.shapes) == ["only"]
  (tmp_path / "thesis").mkdir()
  (tmp_path / "thesis" / "thesis.tex").touch()
  with pytest.raises(InputError, match="is no model directory"):
    write(tmp_path / "thesis", tensors())
  assert {x.name for x in tmp_path.iterdir()} == {"model", "thesis"}


def test_what_holds_no_weights_is_named(tmp_path):
  folder = write(tmp_path / "model", {"ids": np.arange(3)})
  with pytest.raises(InputError, match="tensor ids is I64"):
    tensor_files.TensorFiles(folder).check_dtype("ids")


@pytest.mark.parametrize("kind", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_found(kind, number, tmp_path):
  x = np.ones((3, 2), kind)
  assert tensor_files.is_finite(x)
  x[2, 1] = number
  assert not tensor_files.is_finite(x)
  files = tensor_files.TensorFiles(write(tmp_path / "model", {"x": x}))
  assert files.read("x", (slice(0, 2), slice(None))).shape == (2, 2)
  with pytest.raises(InputError, match="tensor x has entries that are not"):
    files.read("x", (slice(None), slice(None)))


def test_an_index_does_not_lead_out_of_its_directory(tmp_path):
  write(tmp_path / "model", tensors(), 100)
  index = tmp_path / "model" / tensor_files.INDEX
  index.write_text(json.dumps({"weight_map": {"a": "../other.safetensors"}}))
  with pytest.raises(InputError, match="which is not beside it"):
    tensor_files.TensorFiles(tmp_path / "model")
