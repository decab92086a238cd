import functools
import json

import jax
import numpy as np
import pytest
from oracles import commands, decoders, mutations

from experiments.tools import score
from qsharp_jax import checkpoint, models
from qsharp_jax.core.errors import InputError

CONFIG = models.DecoderConfig(
  vocab_size=31,
  width=16,
  num_layers=2,
  num_heads=2,
  num_kv_heads=1,
  head_width=8,
  mlp_width=24,
  max_length=40,
)


@pytest.fixture(scope="module")
def params():
  return decoders.params(models.LanguageModel(CONFIG))


@pytest.fixture(scope="module")
def model_dir(params, tmp_path_factory):
  path = tmp_path_factory.mktemp("score") / "model"
  checkpoint.saving.save_language_model(path, CONFIG, params, "llama")
  return path


def _rows(lengths):
  rng = np.random.default_rng(0)
  return [rng.integers(0, 31, n).tolist() for n in lengths]


_logits = jax.jit(models.LanguageModel(CONFIG).apply)


def _expected(params, row):
  """One sequence at a time, softmax in numpy."""
  padded = decoders.right_padded([row], time=CONFIG.max_length)
  logits, _ = jax.device_get(_logits(params, *padded))
  probs = np.exp(logits[0].astype(np.float64))
  probs /= probs.sum(-1, keepdims=True)
  return [np.log(probs[t - 1, row[t]]) for t in range(1, len(row))]


def test_equals_a_softmax_row_by_row_whatever_the_batch(params):
  rows = _rows([40, 1, 2, 17, 16, 33, 5])
  for batch_size in (1, 3, 8):
    got = score.score(CONFIG, params, rows, batch_size=batch_size)
    for row, values in zip(rows, got, strict=True):
      assert values.shape == (len(row) - 1,) and values.dtype == np.float32
      np.testing.assert_allclose(values, _expected(params, row), atol=1e-5)


_run = functools.partial(commands.run, "experiments.score")


def test_command_line_scores_a_file(params, model_dir, tmp_path):
  rows = _rows([9, 30])
  tokens, output = tmp_path / "in.jsonl", tmp_path / "out.npz"
  tokens.write_text("".join(json.dumps({"tokens": r}) + "\n" for r in rows))
  done = _run(
    f"--model={model_dir}", f"--tokens={tokens}", f"--output={output}"
  )
  assert done.returncode == 0, done.stderr
  with np.load(output) as arrays:
    assert sorted(arrays) == ["log_probs_0", "log_probs_1"]
    for i, row in enumerate(rows):
      np.testing.assert_allclose(
        arrays[f"log_probs_{i}"], _expected(params, row), atol=1e-5
      )
  assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.npz"]


def test_command_line_refuses_in_one_line(model_dir, tmp_path):
  tokens = tmp_path / "in.jsonl"
  tokens.write_text('{"tokens": [1, 2]}\n{"tokens": [1, 31]}\n')
  done = _run(
    f"--model={model_dir}",
    f"--tokens={tokens}",
    f"--output={tmp_path / 'out.npz'}",
  )
  assert done.returncode == 2
  assert f"{tokens}:2" in done.stderr and "31" in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
  assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
  ("line", "says"),
  [
    ("", "JSON"),
    ('{"tokens": [1, 2', "JSON"),
    ("[1, 2]", "tokens"),
    ('{"tokens": []}', "at least one"),
    ('{"tokens": [1, -1]}', "-1"),
    ('{"tokens": [1, true]}', "True"),
    ('{"tokens": [1, 2.0]}', "2.0"),
    (json.dumps({"tokens": [0] * 41}), "context of 40"),
  ],
)
def test_names_the_broken_line(line, says, tmp_path):
  path = tmp_path / "in.jsonl"
  path.write_text('{"tokens": [3]}\n' + line + "\n")
  with pytest.raises(InputError, match=r"in\.jsonl:2") as error:
    score.read(str(path), CONFIG)
  assert says in str(error.value)


def test_damaged_input_gives_one_line(tmp_path):
  path = tmp_path / "in.jsonl"
  row = {"tokens": [1, 2, 3]}
  good = (json.dumps(row) + "\n").encode() * 3
  for content in (
    *mutations.documents(row, 1, 150),
    *mutations.texts(good, 1, 150),
    mutations.DEEP.encode(),
  ):
    path.write_bytes(content)
    try:
      score.read(str(path), CONFIG)
    except InputError as error:
      assert "\n" not in str(error)
