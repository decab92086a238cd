"""Loads a model in one of two processes; prints what it read and held."""

import json
import pathlib
import sys
import threading
import time

import jax
import numpy as np

from qsharp_jax import models, sharding
from qsharp_jax.checkpoint import huggingface, tensor_files
from qsharp_jax.sharding import mesh as mesh_lib

_BYTES = 2**20


def anonymous() -> int:
  """Bytes of memory that are not pages of a file."""
  status = pathlib.Path("/proc/self/status").read_text()
  (line,) = [x for x in status.splitlines() if x.startswith("RssAnon")]
  return int(line.split()[1]) * 1024


def main(directory: str, address: str, process_id: int) -> None:
  """Loads, counting bytes that come out of the files."""
  jax.distributed.initialize(address, 2, process_id)
  read = []
  original = tensor_files.TensorFiles.read

  def counted(self, name, index):
    found = original(self, name, index)
    read.append(found.nbytes)
    return found

  tensor_files.TensorFiles.read = counted
  layout = sharding.Layout(mesh_lib.make_mesh((1, 1, 2)))
  config = huggingface.families.from_hf(huggingface.read_config(directory))
  shardings = layout.for_decoding(models.LanguageModel(config))
  # Whatever the first use of a device takes is not the model's.
  jax.block_until_ready(
    jax.device_put(np.zeros(_BYTES), jax.local_devices()[0])
  )
  before, most, is_done = anonymous(), [0], threading.Event()

  def watch():
    while not is_done.is_set():
      most[0] = max(most[0], anonymous())
      time.sleep(0.001)

  watcher = threading.Thread(target=watch)
  watcher.start()
  _, params = huggingface.load_language_model(directory, shardings=shardings)
  jax.block_until_ready(params)
  is_done.set()
  watcher.join()
  leaves = jax.tree.leaves(params)
  own = sum(s.data.nbytes for x in leaves for s in x.addressable_shards)
  print(
    json.dumps(
      {
        "total": sum(x.nbytes for x in leaves),
        "own": own,
        "read": sum(read),
        "peak": most[0] - before,
      }
    )
  )


if __name__ == "__main__":
  main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
