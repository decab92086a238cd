"""The benchmark of the store runs and prints its JSON."""

import json
import subprocess
import sys


def test_reads_splits_and_packs():
  done = subprocess.run(
    [
      *(sys.executable, "-m", "benchmarks.store"),
      *("--rollouts=400", "--tokens=40", "--length=128", "--shard=64"),
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result["rollouts"] == 400 and result["versions"]["pyarrow"]
  # One question in 20 is held out, and one sample in 50 of the others.
  most = 400 * 40 / 128
  assert 0.7 * most < result["packed_rows"] * result["filled_share"] < most
  assert 0.9 < result["filled_share"] <= 1
  parts = [result[f"{name}_seconds"] for name in ("read", "split", "pack")]
  assert abs(sum(parts) - result["total_seconds"]) < 1e-6
  assert result["peak_bytes"] >= result["imports_bytes"] > 0
