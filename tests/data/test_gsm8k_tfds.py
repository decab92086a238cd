import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("tensorflow_datasets", reason="the extra tfds is absent")

ROUND_TRIP = """
import sys
from qsharp_jax.data import gsm8k_tfds, sources
source, data_dir, *splits = sys.argv[1:]
gsm8k_tfds.prepare(source, data_dir=data_dir)
for split in splits:
  built = sources.load(f'tfds:{data_dir}', split=split)
  assert built == sources.load(f'jsonl:{source}', split=split), split
  print(len(built))
assert 'tensorflow' not in sys.modules
assert 'jax' not in sys.modules
"""


def run(code, *args):
  return subprocess.run(
    [sys.executable, "-c", code, *map(str, args)],
    capture_output=True,
    text=True,
    check=False,
  )


def write(path, num):
  lines = [
    json.dumps({"question": f"Naïve {path.stem} {i}?", "answer": f"#### {i}"})
    for i in range(num)
  ]
  path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_round_trip_without_tensorflow(tmp_path):
  source, data_dir = tmp_path / "source", tmp_path / "data"
  source.mkdir()
  write(source / "train.jsonl", 25)
  write(source / "test.jsonl", 3)
  done = run(ROUND_TRIP, source, data_dir, "train", "test")
  assert done.returncode == 0, done.stderr
  assert done.stdout.split()[-2:] == ["25", "3"]
  names = [path.name for path in data_dir.rglob("*") if path.is_file()]
  assert any(".array_record" in name for name in names)


def test_real_gsm8k(tmp_path):
  if "QSHARP_DATA_DIR" not in os.environ:
    pytest.skip("QSHARP_DATA_DIR is not set: no real data here")
  source = os.path.join(os.environ["QSHARP_DATA_DIR"], "gsm8k")
  done = run(ROUND_TRIP, source, tmp_path, "train", "test")
  assert done.returncode == 0, done.stderr
  assert done.stdout.split()[-2:] == ["7473", "1319"]


def test_errors_are_input_errors(tmp_path):
  from qsharp_jax.core.errors import InputError
  from qsharp_jax.data import gsm8k_tfds, sources

  with pytest.raises(InputError, match=r"no \.jsonl file"):
    gsm8k_tfds.prepare(tmp_path, data_dir=tmp_path)
  with pytest.raises(InputError, match="no prepared split 'train'"):
    sources.load(f"tfds:{tmp_path}", split="train")
  write(tmp_path / "train.jsonl", 2)
  with (tmp_path / "train.jsonl").open("a") as file:
    file.write("{\n")
  with pytest.raises(InputError, match="train.jsonl:3"):
    gsm8k_tfds.prepare(tmp_path, data_dir=tmp_path / "out")
