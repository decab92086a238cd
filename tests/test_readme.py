"""README's Python runs as it stands, and prints what it says."""

import contextlib
import io
import pathlib
import re

import numpy as np
from oracles import model_directories

from qsharp_jax import models
from qsharp_jax.checkpoint import huggingface, saving

README = pathlib.Path(__file__).parents[1] / "README.md"


def printed(about, replacing=()):
  """What the Python of README that says `about` prints."""
  found = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)
  (code,) = (code for code in found if about in code)
  for old, new in replacing:
    assert old in code
    code = code.replace(old, new)
  said = io.StringIO()
  with contextlib.redirect_stdout(said):
    exec(compile(code, str(README), "exec"), {})
  return said.getvalue()


def test_one_function_does_what_the_theory_says():
  said = printed("ops")
  numbers = [float(x) for x in re.findall(r"[-+\d.e]+", said)]
  # pi is the reference times E[exp(Z / eta)], Z a coin with these log-odds.
  success = 1 / (1 + np.exp(-np.array([-2.0, 0.0, 3.0])))
  pi = np.array([0.5, 0.3, 0.2]) * (1 - success + success * np.exp(1 / 0.1))
  np.testing.assert_allclose(numbers, pi / pi.sum(), rtol=1e-5)


def test_two_directories_answer_a_question(tmp_path):
  reference = model_directories.qwen2(tmp_path / "reference")
  config, params = huggingface.load_language_model(reference)
  head = models.HeadConfig()
  zeros = np.zeros((1, 1, config.width), np.float32)
  saving.save_value_model(
    tmp_path / "value",
    config,
    head,
    {"params": {"backbone": params["params"]["backbone"], "head": zeros}},
    "qwen2",
  )
  huggingface.copy_tokenizer(reference, tmp_path / "value")
  said = printed(
    "qsharp_jax.load",
    [
      ("runs/gsm8k-tiny/reference/model", str(reference)),
      ("runs/gsm8k-tiny/round_2/value", str(tmp_path / "value")),
    ],
  )
  *_, kl = said.split()
  assert float(kl) > 0  # candidates that may succeed, before all other tokens


def test_the_tutorial_shows_the_example_as_it_is():
  root = README.parent
  tutorial = (root / "docs" / "tutorial.md").read_text()
  assert (root / "examples" / "my_task.py").read_text().strip() in tutorial
