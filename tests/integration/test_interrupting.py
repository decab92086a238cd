"""Ctrl-C: one line that says how to go on, exit code 130, no traceback."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
LINE = "interrupted: run the same command again to go on"
# What Ctrl-C can meet: Python, Python that loses it, what never ends after it.
MAIN = """
import sys, time
from experiments.harness import console
console._GRACE = 0.5
def main(_):
  print("ready", flush=True)
  try:
    time.sleep(60)
  except KeyboardInterrupt:
    {then}
console.run(main)
"""


def interrupt(argv):
  """Starts a command, sends it and its children what a terminal would."""
  with subprocess.Popen(
    argv,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    start_new_session=True,
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    text=True,
  ) as process:
    while "ready" not in (line := process.stdout.readline()):
      assert line, process.stderr.read()
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
  return process.returncode, said


@pytest.mark.parametrize("then", ["raise", "time.sleep(60)"])
def test_an_interrupt_is_one_line(then, tmp_path):
  file = tmp_path / "main.py"
  file.write_text(MAIN.format(then=then))
  assert interrupt([sys.executable, file]) == (130, LINE + "\n")


def test_so_it_is_for_several_processes(tmp_path):
  (tmp_path / "stage.py").write_text(MAIN.format(then="raise"))
  code = (
    "import sys; from launch import local; stage = sys.argv[-1];"
    "local.commands = lambda *_, **__: [[sys.executable, stage]] * 2;"
    "local.app.run(local.main)"
  )
  argv = [sys.executable, "-c", code, "--", tmp_path / "stage.py"]
  assert interrupt(argv) == (130, LINE + "\n")


def test_a_process_that_hears_of_it_first_is_not_blamed():
  code = (
    "import sys; from launch import local;"
    "child = [sys.executable, '-c', 'import sys; sys.exit(130)'];"
    "local.commands = lambda *_, **__: [child] * 2;"
    "local.app.run(local.main)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code, "--", "module"],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert (done.returncode, done.stderr) == (130, LINE + "\n")
