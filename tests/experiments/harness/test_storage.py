"""Disks that are full or not to be written: one line on how to go on."""

import errno
import logging
import os
import subprocess
import sys

import pytest
import safetensors.numpy as safetensors_numpy
from absl import flags

from experiments.harness import console, storage

# Writes a run's files under a limit that the second of them meets.
FULL = """
import resource, signal, sys
from experiments.harness import console
from qsharp_jax.core import files
def main(_):
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
  files.replace(sys.argv[0] + ".small", "x")
  files.replace(sys.argv[0] + ".large", "x" * 5000)
console.run(main)
"""


@pytest.mark.parametrize(
  ("code", "says"),
  [
    (errno.ENOSPC, "No space left on device; free some space, then run the"),
    (errno.EDQUOT, "Disk quota exceeded; free some space, then run the same"),
    (errno.EROFS, "Read-only file system; make it writable, then run the same"),
    (errno.EACCES, "Permission denied; make it readable and writable"),
  ],
)
def test_a_fault_of_the_disk_is_said_with_its_place(code, says):
  error = OSError(code, os.strerror(code), "/data/run/a")
  assert storage.refusal(error).startswith(f"/data/run/a: {says}")
  assert storage.refusal(error).endswith("same command again to go on")


def test_a_fault_behind_another_error_is_found():
  try:
    try:
      raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
      raise RuntimeError("the checkpoint was not written") from error
  except RuntimeError as error:
    assert "No space left on device; free some space" in storage.refusal(error)


@pytest.mark.parametrize(
  "text",
  [
    "Error writing local file [OS error 28: ENOSPC No space left on device]",
    "I/O error: No space left on device (os error 28)",
  ],
)
def test_libraries_in_other_languages_have_only_words(text):
  assert "free some space" in storage.refusal(ValueError(text))


@pytest.mark.parametrize(
  "error",
  [
    ValueError("shapes (2, 3) and (3,)"),
    FileNotFoundError(errno.ENOENT, "No such file"),
    KeyError(28),
  ],
)
def test_other_errors_stay_tracebacks(error):
  assert storage.refusal(error) is None


def test_a_circle_of_causes_ends():
  one, two = ValueError("a"), ValueError("b")
  one.__cause__, two.__cause__ = two, one
  assert storage.refusal(one) is None


def test_what_safetensors_says_of_a_full_disk_is_known():
  if not os.path.exists("/dev/full"):
    pytest.skip("this system has no /dev/full")
  with pytest.raises(Exception) as error, open("/dev/full", "wb") as file:
    file.write(safetensors_numpy.save({}) * 1000)
    file.flush()
  assert "No space left" in storage.refusal(error.value)


def test_a_run_that_meets_a_full_disk_is_one_line(tmp_path):
  file = tmp_path / "main.py"
  file.write_text(FULL)
  done = subprocess.run(
    [sys.executable, file],
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 2, done.stderr
  assert done.stderr == (
    "error: File too large; raise the limit on the size of files (ulimit -f), "
    "then run the same command again to go on\n"
  )
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {"main.py", "main.py.small"}


def test_what_orbax_logs_of_an_error_that_it_raises_is_left_out():
  flags.FLAGS.mark_as_parsed()
  record = lambda path, trace: logging.LogRecord(
    "absl", logging.ERROR, path, 1, "raised", (), trace
  )
  trace = (OSError, OSError(errno.ENOSPC, "full"), None)
  orbax = "/lib/site-packages/orbax/checkpoint/_src/futures/future.py"
  assert not console._is_wanted(record(orbax, trace))
  assert console._is_wanted(record(orbax, None))
  assert console._is_wanted(record("/lib/site-packages/jax/x.py", trace))
