"""Which process is named when a run of several ends badly."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Stands for `launch.local`, whose children are pieces of code in its place.
LOCAL = """
import sys
from launch import local
codes = sys.argv[1:]
sys.argv[1:] = [f"--num_processes={len(codes)}", "--", "stage"]
local.commands = lambda *_, **__: [[sys.executable, "-c", x] for x in codes]
local.app.run(local.main)
"""
WAITS = "import time; time.sleep(60)"
# Says who it is, so that others see its death, before anybody buried it.
HERE = "import os, pathlib; pathlib.Path('{0}').write_text(str(os.getpid()))"
SEES = """
import os, pathlib, time
file = pathlib.Path('{0}')
while not (file.exists() and file.read_text()):
  time.sleep(0.01)
process = pathlib.Path('/proc', file.read_text(), 'stat')
while process.exists() and process.read_text().split()[2] != 'Z':
  time.sleep(0.001)
time.sleep({1})
"""
ABSENT = """
import sys
print("error: process 1 did not come to 'end of collect_1' within 9 s; see")
sys.exit(1)
"""


def run(*codes):
  done = subprocess.run(
    [sys.executable, "-c", LOCAL, *codes],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=60,
  )
  return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("seconds", [0.0, 0.03])
def test_the_process_that_died_first_is_named(tmp_path, seconds):
  file = tmp_path / "pid"
  peer = SEES.format(file, seconds) + "raise SystemExit(1)"
  victim = HERE.format(file) + "; import time; time.sleep(1); os.kill(int("
  code, said = run(peer, peer, victim + "os.getpid()), 9)")
  assert said == ["process 2 of 3 ended with signal 9 (SIGKILL)"]
  assert code == 128 + 9


def test_the_process_that_stands_still_is_named():
  code, said = run(ABSENT, WAITS)
  assert said == [
    "process 1 of 2 stands still; process 0 waited for it in vain and ended "
    "with exit code 1"
  ]
  assert code == 1


def test_one_that_is_gone_does_not_stand_still(tmp_path):
  file = tmp_path / "pid"
  _, said = run(SEES.format(file, 0.5) + ABSENT, HERE.format(file))
  assert said == ["process 0 of 2 ended with exit code 1"]


def test_all_that_end_well_are_no_news():
  assert run("", "import time; time.sleep(0.2)") == (0, [])


def test_wrong_input_ends_all():
  assert run(WAITS, "raise SystemExit(2)") == (
    2,
    ["process 1 of 2 ended with exit code 2"],
  )
