"""Curves come back as they were logged, interruptions and kills included."""

import subprocess
import sys

import numpy as np
from tensorboardX import SummaryWriter

from qsharp_jax.training import events


def log(directory, first, numbers, name="loss"):
  """Logs from a step on, as a fit does; returns the file's path."""
  before = set(directory.glob("*"))
  with SummaryWriter(
    str(directory), purge_step=first, filename_suffix=f".{len(before)}"
  ) as writer:
    for step, number in enumerate(numbers, first):
      writer.add_scalar(name, number, step)
  (file,) = set(directory.glob("*")) - before
  return file


def test_pytorch_is_not_imported_for_it_and_can_be_afterwards():
  code = """
import sys
from qsharp_jax.training import events
assert "torch" not in sys.modules
sys.modules["torch"] = sys
with events._without("torch"):
  import torch
assert torch is sys
"""
  done = subprocess.run([sys.executable, "-c", code], capture_output=True)
  assert done.returncode == 0, done.stderr


def test_what_was_logged(tmp_path):
  log(tmp_path, 1, [3.0, 2.0, 1.5])
  (steps, numbers) = events.scalars(tmp_path)["loss"]
  assert steps.tolist() == [1, 2, 3] and numbers.tolist() == [3.0, 2.0, 1.5]


def test_what_lies_beyond_a_checkpoint_gives_way(tmp_path):
  log(tmp_path, 1, [3.0, 2.0, 99.0, 98.0])
  log(tmp_path, 3, [1.5])
  steps, numbers = events.scalars(tmp_path)["loss"]
  assert steps.tolist() == [1, 2, 3] and numbers.tolist() == [3.0, 2.0, 1.5]


def test_a_torn_or_foreign_end_is_left_out(tmp_path):
  file = log(tmp_path, 1, [3.0, 2.0])
  whole = file.read_bytes()
  file.write_bytes(whole[:-7])
  assert events.scalars(tmp_path)["loss"][0].tolist() == [1]
  file.write_bytes(whole + b"\x04" + bytes(11) + b"\xff\xff\xff\xff" + bytes(4))
  assert events.scalars(tmp_path)["loss"][0].tolist() == [1, 2]


def test_where_nothing_was_trained_there_are_no_curves(tmp_path):
  assert events.scalars(tmp_path / "absent") == {}


def test_thinned_to_means_of_equally_many():
  curve = np.arange(1, 12), np.arange(1.0, 12.0)
  steps, numbers = events.thinned(curve, 4)
  assert steps.tolist() == [3, 6, 9] and numbers.tolist() == [2.0, 5.0, 8.0]
  assert events.thinned(curve, 11) is curve
