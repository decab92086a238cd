"""One run in a directory at a time."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import Workdir, hold

HOLDER = """
import sys, time
from qsharp_jax.core import places
from qsharp_jax.pipeline import hold
with hold.hold(places.path(sys.argv[1])):
  print("held", flush=True)
  time.sleep(60)
"""


def test_a_second_run_is_refused_by_the_name_of_the_first(tmp_path):
  with hold.hold(tmp_path / "run"):
    says = f"in use by process {os.getpid()} on {socket.gethostname()}; wait"
    with pytest.raises(InputError, match=says), hold.hold(tmp_path / "run"):
      pass
    with hold.hold(tmp_path / "other"):
      pass
  with hold.hold(tmp_path / "run"):
    pass
  assert not list((tmp_path / "run").iterdir())


def test_a_run_that_failed_holds_nothing(tmp_path):
  with pytest.raises(KeyError), hold.hold(tmp_path):
    raise KeyError
  with hold.hold(tmp_path):
    pass


def test_a_process_that_was_killed_holds_nothing(tmp_path):
  with subprocess.Popen(
    [sys.executable, "-c", HOLDER, tmp_path],
    stdout=subprocess.PIPE,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    text=True,
  ) as process:
    assert process.stdout.readline() == "held\n"
    says = f"in use by process {process.pid} on "
    with pytest.raises(InputError, match=says), hold.hold(tmp_path):
      pass
    process.send_signal(signal.SIGKILL)
    process.wait()
  assert [path.name for path in tmp_path.iterdir()] == [hold.NAME]
  # What is left of it is no file of something else.
  Workdir(tmp_path, {})
  with hold.hold(tmp_path):
    pass


def test_a_lock_that_says_nothing_still_holds(tmp_path):
  with hold.hold(tmp_path):
    (tmp_path / hold.NAME).write_text("")
    with (
      pytest.raises(InputError, match="by another process;"),
      hold.hold(tmp_path),
    ):
      pass


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path):
  (tmp_path / "file").write_text("")
  with (
    pytest.raises(InputError, match="file/run cannot be written .*writable"),
    hold.hold(tmp_path / "file" / "run"),
  ):
    pass


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
  def refuse(*_):
    raise OSError(hold.errno.ENOLCK, "no locks")

  monkeypatch.setattr(hold.fcntl, "flock", refuse)
  with hold.hold(tmp_path):
    assert "has no locks" in caplog.text
