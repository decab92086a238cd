r"""How fast do rollouts on disk become packed rows, and in how much memory?

  python -m benchmarks.store --rollouts=240000 --tokens=200

Writes synthetic rollouts, 16 of each question, into Parquet shards; then, in
a process of its own, reads, splits and packs them as a round of Algorithm 1
does. Prints a table and one line of JSON; the memory is that process's peak.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from benchmarks import measure
from qsharp_jax import rollout
from qsharp_jax.data.ragged import Ragged
from qsharp_jax.pipeline import labelled
from qsharp_jax.rollout import store

_ROLLOUTS = flags.DEFINE_integer("rollouts", 240_000, "Rollouts in all.")
_TOKENS = flags.DEFINE_integer(
  "tokens", 200, "Mean tokens of a rollout, its prompt included.", 8
)
_LENGTH = flags.DEFINE_integer("length", 2048, "Tokens of a packed row.")
_SHARD = flags.DEFINE_integer("shard", 1024, "Rollouts of a shard.")
_DIRECTORY = flags.DEFINE_string("directory", "", "Read this, write nothing.")
_NUM_SAMPLES = 16


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  if _DIRECTORY.value:
    print(json.dumps(_measure(_DIRECTORY.value)))
    return
  with tempfile.TemporaryDirectory() as directory:
    started = time.perf_counter()
    for index in range(-(-_ROLLOUTS.value // _SHARD.value)):
      store.write_shard(directory, index, _rollouts(index))
    seconds = time.perf_counter() - started
    files = pathlib.Path(directory).iterdir()
    result = measure.describe("numpy", "pyarrow") | {
      "rollouts": _ROLLOUTS.value,
      "tokens": _TOKENS.value,
      "write_seconds": seconds,
      "disk_bytes": sum(file.stat().st_size for file in files),
    }
    result |= _in_its_own_process(directory)
  measure.show(result)


def _in_its_own_process(directory: str) -> dict:
  done = subprocess.run(
    [
      *(sys.executable, "-m", "benchmarks.store"),
      *(f"--directory={directory}", f"--length={_LENGTH.value}"),
    ],
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  return json.loads(done.stdout.splitlines()[-1])


def _measure(directory: str) -> dict:
  """Seconds of each step, and the peak of memory over all of them."""
  before = _peak_bytes()
  times = [time.perf_counter()]
  rollouts = store.read(directory, with_text=False)
  times.append(time.perf_counter())
  split = labelled.split(rollouts)
  times.append(time.perf_counter())
  rows = labelled.pack(split.train, length=_LENGTH.value)
  times.append(time.perf_counter())
  read, cut, pack = np.diff(times).tolist()
  return {
    "read_seconds": read,
    "split_seconds": cut,
    "pack_seconds": pack,
    "total_seconds": times[-1] - times[0],
    "packed_rows": len(rows.tokens),
    "packed_bytes": sum(field.nbytes for field in rows),
    "filled_share": float((rows.segments > 0).mean()),
    "imports_bytes": before,
    "peak_bytes": _peak_bytes(),
  }


def _peak_bytes() -> int:
  """Peak resident memory of this process so far."""
  unit = 1 if sys.platform == "darwin" else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _rollouts(shard: int) -> rollout.Rollouts:
  """One shard of samples of random tokens, lengths and labels."""
  first = shard * _SHARD.value
  index = np.arange(first, min(first + _SHARD.value, _ROLLOUTS.value))
  num = len(index)
  rng = np.random.default_rng(shard)
  strings = lambda form: np.array([form.format(i) for i in question], object)
  question = index // _NUM_SAMPLES
  rollouts = {
    "question_id": strings("question-{}"),
    "sample": index % _NUM_SAMPLES,
    "seed": index,
    "eta": np.full(num, np.nan),
    "prompt": _tokens(rng, num, _TOKENS.value // 4),
    "tokens": _tokens(rng, num, _TOKENS.value - _TOKENS.value // 4),
    "first_label": np.zeros(num),
    "ended": np.ones(num, bool),
    "text": np.array(["word " * _TOKENS.value] * num, object),
    "extracted": strings("{}"),
    "correct": rng.random(num) < 0.5,
    "error": np.full(num, None, object),
    "kl": rng.random(num),
    "kl_filtered": rng.random(num),
    "forwards": np.full(num, _TOKENS.value),
    "seconds": np.full(num, 0.5),
    "answer": strings("{}"),
    "split": np.where(question % 20, "train", "validation").astype(object),
    "question": np.array([f"{'word ' * 40}{i}" for i in question], object),
    "value": np.full(num, np.nan),
  }
  return rollout.Rollouts(**rollouts, label=rollouts["correct"].astype(float))


def _tokens(rng: np.random.Generator, num: int, mean: int) -> Ragged:
  """Between half and one and a half of the mean, 32-bit ids."""
  lengths = rng.integers(-(-mean // 2), mean + mean // 2, num, endpoint=True)
  values = rng.integers(0, 100_000, lengths.sum(), dtype=np.int32)
  return Ragged(values, np.cumsum(lengths) - lengths, lengths)


if __name__ == "__main__":
  app.run(main)
