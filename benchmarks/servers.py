"""A server in a process of its own, and the few calls that benchmarks make."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

_URL = re.compile(r"serving (\S+) at http://127\.0\.0\.1:(\d+)/v1")


class Server:
  """A running `experiments.serve`.

  Attributes:
    name: of its model.
    port: where it listens, on this machine.
    process: the server's.
  """

  def __init__(self, process: subprocess.Popen, name: str, port: int):
    """A server that has said where it listens."""
    self.process, self.name, self.port = process, name, port

  def connect(self, timeout: float = 120.0) -> http.client.HTTPConnection:
    """A connection, which keeps."""
    return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

  def post(
    self,
    connection: http.client.HTTPConnection,
    body: dict[str, Any],
    path: str = "/v1/completions",
  ) -> tuple[int, dict[str, Any]]:
    """Status and object of an answer that is not streamed."""
    kind = {"content-type": "application/json"}
    content = json.dumps({"model": self.name} | body)
    connection.request("POST", path, content, kind)
    response = connection.getresponse()
    return response.status, json.loads(response.read())

  def stream(
    self, connection: http.client.HTTPConnection, body: dict[str, Any]
  ) -> dict[int, str]:
    """Texts of a streamed answer, by their index.

    Raises:
      RuntimeError: a stream that was not brought to its end.
    """
    kind = {"content-type": "application/json"}
    content = json.dumps({"model": self.name, "stream": True} | body)
    connection.request("POST", "/v1/completions", content, kind)
    texts: dict[int, str] = {}
    response = connection.getresponse()
    for line in response.read().split(b"\n\n"):
      if line == b"data: [DONE]":
        return texts
      for choice in json.loads(line.removeprefix(b"data: "))["choices"]:
        index = choice["index"]
        texts[index] = texts.get(index, "") + choice["text"]
    raise RuntimeError(f"a stream ended early, with status {response.status}")

  def counts(self) -> dict[str, float]:
    """The numbers of /metrics."""
    with contextlib.closing(self.connect()) as connection:
      connection.request("GET", "/metrics")
      text = connection.getresponse().read().decode()
    pairs = (x.rsplit(" ", 1) for x in text.splitlines() if x[0] != "#")
    return {name: float(value) for name, value in pairs}

  def megabytes(self) -> tuple[float, float]:
    """Memory of the process now, and the most so far."""
    status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
    return tuple(
      int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024
      for name in ("VmRSS", "VmHWM")
    )

  def processor_seconds(self) -> float:
    """That all its threads have computed for, on whichever core."""
    stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

  def is_idle(self) -> bool:
    """Whether no row and no place of the queue is in use."""
    found = self.counts()
    return found["qsharp_answers_open"] == found["qsharp_rows_busy"] == 0

  def seconds_until_idle(self) -> float:
    """How long rows stay in use that nobody waits for any more."""
    start = time.monotonic()
    while not self.is_idle():
      if time.monotonic() - start > 120:
        raise RuntimeError("rows stay in use")
      time.sleep(0.05)
    return time.monotonic() - start


@contextlib.contextmanager
def running(*flags: str) -> Iterator[Server]:
  """Starts a server, and ends it by SIGTERM.

  Raises:
    RuntimeError: it did not start, or did not end with exit code 0.
  """
  command = [sys.executable, "-m", "experiments.serve", "--port=0", *flags]
  process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
  try:
    for line in process.stdout:
      if found := _URL.match(line):
        break
    else:
      raise RuntimeError(f"no server started: {' '.join(command)}")
    yield Server(process, found[1], int(found[2]))
    process.send_signal(signal.SIGTERM)
    if code := process.wait(90):
      raise RuntimeError(f"the server ended with exit code {code}")
  finally:
    process.kill()
    process.stdout.close()
