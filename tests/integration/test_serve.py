"""The command that serves, from its flags to its end."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import openai
import pytest
from oracles import model_directories

ROOT = pathlib.Path(__file__).parents[2]


def start(*flags):
  command = [sys.executable, "-m", "experiments.serve", "--port=0", *flags]
  return subprocess.Popen(
    command,
    cwd=ROOT,
    env=os.environ | {"JAX_NUM_CPU_DEVICES": "1", "HF_HUB_OFFLINE": "1"},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@pytest.mark.slow
def test_a_model_is_served_and_drained(tmp_path):
  model = model_directories.qwen2(tmp_path / "model")
  (tmp_path / "key").write_text("secret\n")
  process = start(
    f"--reference={model}",
    f"--token_file={tmp_path / 'key'}",
    "--num_rows=2",
    "--num_turns=1",
    "--max_new_tokens=100",
  )
  try:
    lines = iter(process.stdout.readline, "")
    found = next(
      filter(None, (re.match(r"serving (\S+) at (\S+)", x) for x in lines))
    )
    name, url = found.groups()
    client = openai.OpenAI(base_url=url, api_key="secret", max_retries=0)
    assert [m.id for m in client.models.list()] == [name] == ["model"]
    ask = lambda **own: client.completions.create(
      model=name, prompt="Ann", seed=1, max_tokens=100, **own
    )
    whole = ask().choices[0].text
    with pytest.raises(openai.BadRequestError, match="method"):
      ask(extra_body={"method": "qsharp"})
    stream = ask(stream=True)
    parts = [next(stream).choices[0].text]
    process.send_signal(signal.SIGTERM)
    # What runs is brought to its end; nobody else comes in.
    rest = threading.Thread(
      target=lambda: parts.extend(p.choices[0].text for p in stream)
    )
    rest.start()
    rest.join(60)
    assert "".join(parts) == whole
    assert process.wait(60) == 0
    with pytest.raises(openai.APIConnectionError):
      client.models.list()
  finally:
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
  "flags, said",
  [
    ((), "expected either --workdir"),
    (("--workdir=a", "--reference=b"), "expected either --workdir"),
    (("--workdir=nowhere",), "holds no run"),
    (("--reference=nowhere",), "nowhere"),
    (("--workdir=a", "--token_file=nowhere"), "nowhere"),
    (("--port=70000",), "port"),
  ],
)
def test_wrong_flags_are_refused_in_one_line(flags, said):
  process = start(*flags)
  out, err = process.communicate(timeout=120)
  assert (process.returncode, out) == (2, "")
  assert said in err and err.startswith("error: ") and err.count("\n") == 1
