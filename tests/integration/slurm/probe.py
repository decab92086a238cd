"""A bare job of many processes, to tell a fault of Slurm from one of ours.

Usage: python -m tests.integration.slurm.probe [EXIT_CODE | wait]

Forms the process group, sums over all processes and exits with 0. With an
EXIT_CODE it exits with that in its first life and 0 after a requeue; with
`wait` it waits for SIGTERM in its first life and then exits with 75.
"""

import os
import signal
import sys
import time

import jax
import numpy as np
from jax.experimental import multihost_utils


def main(manner: str) -> int:
  """Returns the exit code of this process."""
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  jax.distributed.initialize()
  ids = multihost_utils.process_allgather(np.int32(jax.process_index()))
  life = int(os.environ.get("SLURM_RESTART_COUNT", 0))
  print(
    f"process {jax.process_index()} of {jax.process_count()},"
    f" {jax.local_device_count()} of {jax.device_count()} devices,"
    f" heard from {ids.tolist()}, life {life}",
    flush=True,
  )
  if life > 0:
    return 0
  if manner == "wait":
    warned = []
    signal.signal(signal.SIGTERM, lambda *_: warned.append(time.time()))
    print("waiting for SIGTERM", flush=True)
    while not warned:
      time.sleep(0.1)
    # Processes take different times to save: none may be killed for that.
    time.sleep(3 * jax.process_index())
    print(f"saved, {len(warned)} warning(s)", flush=True)
    return 75
  return int(manner)


if __name__ == "__main__":
  sys.exit(main(*(sys.argv[1:] or ["0"])))
