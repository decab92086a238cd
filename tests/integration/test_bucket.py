"""A run in a bucket, killed in each of its stages, behind a local server.

Needs minutes, and the packages of each server; without them it is skipped:

  pip install s3fs 'moto[server]' gcsfs gcp-storage-emulator
  python -m pytest -n0 -m slow tests/integration/test_bucket.py
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest
from etils import epath
from oracles import commands
from test_faults import STAGES

# The emulator does not say which generation of an object it sends, which
# TensorStore wants to know before it writes another.
GOOGLE = """
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
NEEDED = {"gs": ("gcsfs", "gcp_storage_emulator"), "s3": ("s3fs", "moto")}
SERVERS = {
  "gs": lambda port: ["-c", GOOGLE, port],
  "s3": lambda port: ["-m", "moto.server", "-H", "127.0.0.1", "-p", port],
}
CLIENTS = {
  "gs": lambda url: {
    "STORAGE_EMULATOR_HOST": url,
    "TENSORSTORE_GCS_HTTP_URL": url,
    "GOOGLE_CLOUD_PROJECT": "test",
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # not emulated
  },
  "s3": lambda url: {
    "AWS_ENDPOINT_URL": url,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
  },
}
TWO = ("--num_processes=2", "--devices_per_process=1", "--")


def free_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def wait_for(port):
  for _ in range(600):
    with contextlib.suppress(OSError), socket.create_connection(port, 1):
      return
    time.sleep(0.1)
  raise TimeoutError(f"nothing listens on {port}")


@pytest.fixture(scope="module")
def environment():
  """By scheme: of the processes; ours, too, looks into the bucket."""
  with contextlib.ExitStack() as stack:
    patch = stack.enter_context(pytest.MonkeyPatch.context())

    def begin(scheme):
      for package in NEEDED[scheme]:
        pytest.importorskip(package)
      port = free_port()
      server = subprocess.Popen(
        [sys.executable, *SERVERS[scheme](str(port))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
      )
      stack.callback(server.wait)
      stack.callback(server.kill)
      wait_for(("127.0.0.1", port))
      client = CLIENTS[scheme](f"http://127.0.0.1:{port}")
      for name, value in client.items():
        patch.setenv(name, value)
      if scheme == "s3":
        import s3fs

        s3fs.S3FileSystem().mkdir("bucket")
      folder = pathlib.Path(__file__).parent
      own = commands.environment(folder, as_users=True)
      # Compiled programs, too, go into the bucket.
      return {k: v for k, v in own.items() if "JAX_COMPILATION" not in k}

    yield begin


def start(is_two, env, *arguments):
  """Exit code and all words of a run of tests/integration/faults.py."""
  module = ("launch.local", *TWO, "faults") if is_two else ("faults",)
  done = subprocess.run(
    [sys.executable, "-m", *module, *map(str, arguments)],
    cwd=commands.ROOT,
    env=env,
    capture_output=True,
    text=True,
  )
  return done.returncode, done.stdout + done.stderr


def rows(workdir):
  """Rows of the report, without what depends on the machine's mood."""
  content = json.loads((epath.Path(workdir) / "report.json").read_text())
  for row in content["rows"]:
    del row["tokens_per_second"], row["seconds"]
  return content["rows"]


@pytest.mark.slow
@pytest.mark.parametrize(
  ("scheme", "is_two"),
  [("s3", False), ("gs", False), ("gs", True)],
  ids=["s3", "gs", "gs-two"],
)
def test_a_run_killed_in_each_stage_ends_in_the_same_report(
  scheme, is_two, environment, tmp_path
):
  env = environment(scheme)
  code, said = start(is_two, env, tmp_path / "run")
  assert code == 0, said

  workdir = f"{scheme}://bucket/{is_two}/run"
  before = set(os.listdir(commands.ROOT))
  for stage in STAGES:
    code, said = start(is_two, env, workdir, stage, "kill -9")
    assert f"FAULT in {stage}" in said and code != 0, said
    assert not (epath.Path(workdir) / "report.json").exists()
  code, said = start(is_two, env, workdir)
  assert code == 0 and "Traceback" not in said, said
  assert rows(workdir) == rows(tmp_path / "run")
  names = {path.name for path in epath.Path(workdir).iterdir()}
  assert {"config.json", "report.md", "pareto.png", "round_1"} <= names
  assert list((epath.Path(workdir).parent / "compiled").iterdir())
  assert set(os.listdir(commands.ROOT)) == before  # no folder called gs:
