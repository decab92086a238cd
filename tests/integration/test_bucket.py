"""A run in a bucket, behind an emulator of Google Cloud Storage.

Needs the packages gcsfs and gcp-storage-emulator, and minutes.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest
from etils import epath
from test_gsm8k import FLAGS

pytest.importorskip("gcsfs")
pytest.importorskip("gcp_storage_emulator")

ROOT = pathlib.Path(__file__).parents[2]
# The emulator does not say which generation of an object it sends, which
# TensorStore wants to know before it writes another.
SERVER = """
import contextlib, sys
from gcp_storage_emulator import exceptions
from gcp_storage_emulator.handlers import objects
plain = objects.download
def download(request, response, storage, *args, **kwargs):
  names = [request.params[name] for name in ("bucket_name", "object_id")]
  with contextlib.suppress(exceptions.NotFound):
    found = storage.get_file_obj(*names)
    response["x-goog-generation"] = found["generation"]
  return plain(request, response, storage, *args, **kwargs)
objects.download = download
from gcp_storage_emulator import server
server.create_server(
  "127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="bucket"
).run()
"""
ONE = [sys.executable, "-m", "experiments.gsm8k"]
TWO = [
  *(sys.executable, "-m", "launch.local", "--num_processes=2"),
  *("--devices_per_process=1", "--", "experiments.gsm8k"),
]
# What has to be there when the run is killed. Of one round: enough for all.
MOMENTS = {
  "pretrain": "reference/checkpoints/20/commit_success.txt",
  "collect": "round_1/rollouts/shard-00000.parquet",
  "train": "round_1/checkpoints/5/commit_success.txt",
  "evaluate": "stages/evaluate_test_reference.begun",
  "judge": "stages/judge_evaluate_test_qsharp-eta0.5-round1.begun",
}


def free_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


@pytest.fixture(scope="module")
def environment():
  """Of the processes, and of this one, which looks into the bucket."""
  port = free_port()
  url = f"http://127.0.0.1:{port}"
  own = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {
    "JAX_PLATFORMS": "cpu",
    "HF_HUB_OFFLINE": "1",
    "STORAGE_EMULATOR_HOST": url,
    "TENSORSTORE_GCS_HTTP_URL": url,
    "GOOGLE_CLOUD_PROJECT": "test",
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # not emulated
  }
  # Compiled programs, too, go into the bucket.
  for name in [name for name in own if name.startswith("JAX_COMPILATION")]:
    del own[name]
  with pytest.MonkeyPatch.context() as patch:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
      patch.setenv(name, own[name])
    server = subprocess.Popen(
      [sys.executable, "-c", SERVER, str(port)],
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    try:
      time.sleep(2)
      yield own
    finally:
      server.kill()
      server.wait()


def command(start, workdir):
  flags = FLAGS | {"rounds.num_rounds": 1, "pretrain.checkpoint_every": 20}
  return [
    *start,
    f"--workdir={workdir}",
    *(f"--config.{name}={value}" for name, value in flags.items()),
  ]


def finish(start, workdir, environment):
  done = subprocess.run(
    command(start, workdir),
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return rows(workdir)


def rows(workdir):
  """Rows of the report, without what depends on the machine's mood."""
  content = json.loads((epath.Path(workdir) / "report.json").read_text())
  for row in content["rows"]:
    del row["tokens_per_second"], row["seconds"]
  return content["rows"]


def kill_when(file, start, workdir, environment, log):
  """Starts the run; ends it, unwarned, once a file is in the bucket."""
  process = subprocess.Popen(
    command(start, workdir),
    cwd=ROOT,
    env=environment,
    stdout=log.open("w"),
    stderr=subprocess.STDOUT,
    start_new_session=True,
  )
  try:
    while not (epath.Path(workdir) / file).exists():
      assert process.poll() is None, log.read_text()
      time.sleep(0.05)
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("start", [ONE, TWO], ids=["one", "two"])
def test_a_run_killed_in_each_stage_ends_in_the_same_report(
  start, environment, request, tmp_path
):
  expected = finish(start, tmp_path / "run", environment)

  workdir = f"gs://bucket/{request.node.callspec.id}/run"
  before = set(os.listdir(ROOT))
  for file in MOMENTS.values():
    kill_when(file, start, workdir, environment, tmp_path / "log")
  assert finish(start, workdir, environment) == expected
  names = {path.name for path in epath.Path(workdir).iterdir()}
  assert {"config.json", "report.md", "pareto.png", "round_1"} <= names
  assert list((epath.Path(workdir).parent / "compiled").iterdir())
  assert set(os.listdir(ROOT)) == before  # no folder called gs:
