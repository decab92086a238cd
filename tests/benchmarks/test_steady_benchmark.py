"""The benchmark of bare decode steps runs, and lists the longest kernels."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a whole command, and compilations

_SIZE = [
  *("--prompt=8", "--new=4", "--repeats=1", "--candidates=3", "--scored=2")
]
_WAYS = ["guided", "lazy", "lazy_sharp", "unguided"]


def _run(module: str, *arguments: str) -> str:
  done = subprocess.run(
    [sys.executable, "-m", f"benchmarks.{module}", *_SIZE, *arguments],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_every_batch_stands_beside_its_floor(tmp_path):
  out = _run("steady", "--batches=2", f"--profile={tmp_path}")
  lines = [json.loads(x) for x in out.splitlines() if x.startswith("{")]
  assert [x.get("what") for x in lines] == [None, None, *_WAYS]
  found = {x["what"]: x for x in lines[2:]}
  for line in found.values():
    assert line["batch"] == 2
    assert 0 < line["share_of_floor"] < 1
  assert found["guided"]["scored_per_token"] == 3
  assert 1 <= found["lazy"]["scored_per_token"] < 3
  assert " us " in out  # the kernels
  assert list(tmp_path.rglob("*.xplane.pb"))
