r"""Runs an experiment in several processes of this machine.

Examples:
  python -m launch.local --num_processes=2 --devices_per_process=1 -- \
    experiments.gsm8k --workdir=runs/two

What works here works on as many hosts: the processes find one another and
divide the work as they would there. Devices are CPU devices, unless
JAX_PLATFORMS says otherwise. If one process ends badly, its number is printed
(or that of the one it waited for) and the others are ended; all are then
started again, at most --max_restarts times, unless the input was wrong (exit
code 2). Ctrl-C ends all of them.
"""

import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from absl import app, flags

_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", 2, "How many processes.", 1
)
_DEVICES = flags.DEFINE_integer(
  "devices_per_process", 1, "CPU devices of each.", 1
)
_MAX_RESTARTS = flags.DEFINE_integer(
  "max_restarts", 0, "How often all are started again.", 0
)
_DRY_RUN = flags.DEFINE_bool(
  "dry_run", False, "Print the commands and start none."
)

_WRONG_INPUT = 2  # never better the second time
_INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended
_READING = 2.0  # seconds for what a process has said to come through
# What a process says of others that do not come, and jax of those that died.
_ABSENT = (
  re.compile(r"process ([\d, ]+) did not come to"),
  re.compile(r"Task (\d+) heartbeat timeout"),
)
_GRACE = 20.0  # seconds between asking a process to end and killing it


def commands(
  arguments: Sequence[str], *, num_processes: int, port: int
) -> list[list[str]]:
  """The command of each process.

  Args:
    arguments: a module and its flags.
    num_processes: how many.
    port: where process 0 waits for the others.
  """
  base = [sys.executable, "-m", *arguments]
  if num_processes == 1:
    return [base]
  together = [
    f"--coordinator_address=127.0.0.1:{port}",
    f"--num_processes={num_processes}",
  ]
  return [[*base, *together, f"--process_id={i}"] for i in range(num_processes)]


def run_once(argvs: Sequence[Sequence[str]], *, num_devices: int) -> int:
  """Runs the commands side by side; the first bad exit code, or 0."""
  environment = os.environ | {
    "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
    "JAX_NUM_CPU_DEVICES": str(num_devices),
    "PYTHONUNBUFFERED": "1",
  }
  children = [
    subprocess.Popen(
      argv,
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for argv in argvs
  ]
  # A terminal's Ctrl-C reaches all; what each says of its end is noise.
  is_over = threading.Event()
  ends: queue.SimpleQueue[int] = queue.SimpleQueue()
  said: list[set[int]] = [set() for _ in children]
  readers = [
    threading.Thread(
      target=_relay, args=(i, child, is_over, said[i]), daemon=True
    )
    for i, child in enumerate(children)
  ]
  for i, child in enumerate(children):
    threading.Thread(target=_wait, args=(i, child, ends), daemon=True).start()
  for reader in readers:
    reader.start()
  # Whoever ends this process means all of them.
  signal.signal(
    signal.SIGTERM,
    lambda number, _: [child.send_signal(number) for child in children],
  )
  try:
    return _watch(children, ends, readers, said)
  except KeyboardInterrupt:
    # A child may have heard of it first: ours may still be on its way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    is_over.set()
    raise
  finally:
    _end(children)
    for reader in readers:
      reader.join()


def _relay(
  index: int,
  child: subprocess.Popen,
  is_over: threading.Event,
  absent: set[int],
) -> None:
  """Passes on what a process says; notes for whom it waited in vain."""
  for line in child.stdout:
    for pattern in _ABSENT:
      if found := pattern.search(line):
        absent |= {int(number) for number in re.findall(r"\d+", found[1])}
    if not is_over.is_set():
      sys.stdout.write(f"[{index}] {line}")
      sys.stdout.flush()


def _wait(
  index: int, child: subprocess.Popen, ends: queue.SimpleQueue[int]
) -> None:
  child.wait()
  ends.put(index)


def _watch(
  children: Sequence[subprocess.Popen],
  ends: queue.SimpleQueue[int],
  readers: Sequence[threading.Thread],
  said: Sequence[set[int]],
) -> int:
  """Waits for all to end well, or for the first that does not.

  A process that dies takes others with it within moments, so the order counts;
  one that stands still makes others end.
  """
  for _ in children:
    index = _next(ends)
    code = children[index].returncode
    if not code:
      continue
    if code == _INTERRUPTED:
      raise KeyboardInterrupt
    how = f"exit code {code}"
    if code < 0:
      how = f"signal {-code} ({_name(-code)})"
    count = len(children)
    readers[index].join(_READING)  # what it said last
    still = [i for i in sorted(said[index]) if i != index and i < count]
    still = [i for i in still if children[i].poll() is None]
    if still:
      numbers = ", ".join(map(str, still))
      _say(
        f"process {numbers} of {count} stands still; process {index} waited "
        f"for it in vain and ended with {how}"
      )
    else:
      _say(f"process {index} of {count} ended with {how}")
    return code
  return 0


def _next(ends: queue.SimpleQueue[int]) -> int:
  """The process that ended next; lets Ctrl-C through."""
  while True:
    try:
      return ends.get(timeout=0.1)
    except queue.Empty:
      continue


def _name(number: int) -> str:
  try:
    return signal.Signals(number).name
  except ValueError:  # of real time
    return "unknown"


def _say(text: str) -> None:
  print(text, file=sys.stderr, flush=True)


def _end(children: Sequence[subprocess.Popen]) -> None:
  """Ends those that still run: first by asking."""
  deadline = time.monotonic() + _GRACE
  for child in children:
    if child.poll() is None:
      child.terminate()
  for child in children:
    try:
      child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
      child.kill()
      child.wait()


def _free_port() -> int:
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def main(argv: list[str]) -> int:
  """Starts the processes, again if need be."""
  if len(argv) < 2:
    raise app.UsageError("expected -- MODULE [FLAGS], e.g. experiments.gsm8k")
  for attempt in range(_MAX_RESTARTS.value + 1):
    argvs = commands(
      argv[1:], num_processes=_NUM_PROCESSES.value, port=_free_port()
    )
    if _DRY_RUN.value:
      for found in argvs:
        print(shlex.join(found))
      return 0
    try:
      code = run_once(argvs, num_devices=_DEVICES.value)
    except KeyboardInterrupt:
      _say("interrupted: run the same command again to go on")
      return _INTERRUPTED
    if code in (0, _WRONG_INPUT) or attempt == _MAX_RESTARTS.value:
      return code if code >= 0 else 128 - code
    _say("starting all processes again")
  raise AssertionError("the last attempt returns")


if __name__ == "__main__":
  app.run(main)
