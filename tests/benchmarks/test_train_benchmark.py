"""The training benchmark runs, and both frameworks learn the same."""

import json
import os

import numpy as np
import pytest
from oracles import commands

from benchmarks import gsm8k_lengths

NUMBERS = {
  "flops_per_second",
  "flops_per_token",
  "mfu",
  "packed_over_padded",
  "packed_tokens_per_second",
  "padded_tokens_per_second",
  "spread",
  "tokens_per_second",
}
TORCH_NUMBERS = {"over_torch", "torch_spread", "torch_tokens_per_second"}


# In a process of its own: benchmarks define flags of the same names.
def run(*flags):
  size = ["--model=tiny", "--batch=2", "--length=16", "--sequences=8"]
  env = commands.environment()
  env.pop("QSHARP_DATA_DIR", None)
  flags = *size, "--repeats=3", *flags
  done = commands.finish("benchmarks.train", *flags, env=env)
  return json.loads(done.stdout.splitlines()[-1])


def assert_positive(result, names):
  for name in names:
    assert isinstance(result[name], int | float) and result[name] >= 0, name


def test_beside_pytorch():
  pytest.importorskip("torch")
  result = run("--notorch_compile")
  assert_positive(result, NUMBERS | TORCH_NUMBERS)
  for name in ("", "torch_"):
    low, high = result[f"{name}interval"]
    assert low <= result[f"{name}tokens_per_second"] <= high
  low, high = result["over_torch_interval"]
  assert low <= result["over_torch"] <= high
  # Four updates from the same weights; the loss begins at ln 2.
  assert abs(result["loss_after"] - np.log(2)) > 1e-6
  np.testing.assert_allclose(
    result["loss_after"], result["torch_loss_after"], atol=1e-6
  )
  assert result["lengths"] == "log-normal"
  assert result["packed_useful_share"] > result["padded_useful_share"]
  assert set(result["versions"]) >= {"jax", "torch", "transformers"}


@pytest.mark.slow
def test_bfloat16_with_remat():
  result = run("--dtype=bfloat16", "--remat", "--notorch")
  assert_positive(result, NUMBERS)
  assert (result["dtype"], result["remat"]) == ("bfloat16", True)
  assert not TORCH_NUMBERS & set(result)
  # 3 layers, width 64, 4 heads of 16, MLP 192, one row of 16 tokens.
  parameters = 3 * (4 * 64 * 64 + 3 * 64 * 192) + 64
  assert result["flops_per_token"] == 6 * parameters + 6 * 3 * 64 * 16


def test_lengths_are_those_of_the_lines(tmp_path, monkeypatch):
  folder = tmp_path / "gsm8k"
  folder.mkdir()
  record = {"question": "Is 12 + 1234 odd?", "answer": "No.\n#### 1246"}
  (folder / "train.jsonl").write_text(json.dumps(record) + "\n")
  monkeypatch.setenv("QSHARP_DATA_DIR", str(tmp_path))
  sizes, source = gsm8k_lengths.load(10)
  # Is 12 + 123 4 odd ? No . # # # # 124 6
  assert (sizes.tolist(), source) == ([15], "gsm8k")


def test_the_fitted_law_is_near_the_real_lengths(monkeypatch):
  if "QSHARP_DATA_DIR" not in os.environ:
    pytest.skip("QSHARP_DATA_DIR is not set")
  real, _ = gsm8k_lengths.load(5000)
  monkeypatch.delenv("QSHARP_DATA_DIR")
  fitted, _ = gsm8k_lengths.load(5000)
  np.testing.assert_allclose(fitted.mean(), real.mean(), rtol=0.02)
  np.testing.assert_allclose(
    np.quantile(fitted, [0.1, 0.5, 0.9]),
    np.quantile(real, [0.1, 0.5, 0.9]),
    rtol=0.05,
  )
