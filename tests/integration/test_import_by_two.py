"""A checkpoint of several files, loaded by two processes."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
from oracles import decoders

from qsharp_jax import models
from qsharp_jax.checkpoint import saving

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = models.DecoderConfig(
  vocab_size=4096,
  width=512,
  num_layers=12,
  num_heads=8,
  num_kv_heads=2,
  head_width=64,
  mlp_width=1536,
  max_length=64,
)


def free_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def test_each_process_reads_and_holds_its_part(tmp_path):
  model = models.LanguageModel(CONFIG)
  params = jax.tree.map(np.asarray, decoders.params(model))
  num_bytes = sum(x.nbytes for x in jax.tree.leaves(params))
  saving.save_language_model(
    tmp_path / "model", CONFIG, params, "llama", max_shard_bytes=num_bytes // 4
  )
  assert len(list((tmp_path / "model").glob("*.safetensors"))) >= 4
  script = pathlib.Path(__file__).with_name("import_by_two.py")
  own = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  address = f"127.0.0.1:{free_port()}"
  running = [
    subprocess.Popen(
      [sys.executable, script, tmp_path / "model", address, str(i)],
      env=own | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  for process in running:
    said, complaint = process.communicate()
    assert process.returncode == 0, complaint
    found = json.loads(said.splitlines()[-1])
    print(found)
    assert found["total"] == num_bytes
    assert found["read"] <= 0.6 * num_bytes
    assert found["peak"] <= 1.3 * found["own"]
