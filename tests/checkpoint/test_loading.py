"""What the files say against what is loaded, beside transformers."""

import json
import shlex
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from oracles import decoders, saved_models, torch_models
from safetensors import numpy as safetensors_numpy

from qsharp_jax import models
from qsharp_jax.checkpoint import huggingface, saving, tensor_files
from qsharp_jax.core.errors import InputError

Q_PROJ = "model.layers.1.self_attn.q_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


@pytest.mark.parametrize("head", [None, "v", "q"])
@pytest.mark.parametrize(
  "other",
  [
    lambda x: x + np.float32(1e-6),
    lambda x: x[:-1].copy(),
    lambda x: x.astype(np.float16),
    lambda x: np.float32(0),
  ],
)
def test_a_tied_model_with_another_output_table_is_refused(
  other, head, tmp_path
):
  saved_models.save(tmp_path / "m", "llama32_tied")
  table = lambda tensors: {
    "lm_head.weight": np.array(other(tensors[EMBEDDING]))
  }
  saved_models.edit(
    tmp_path / "m", lambda tensors: tensors.update(table(tensors))
  )
  with pytest.raises(
    InputError, match=r"another lm_head\.weight; set tie_word"
  ):
    if head is None:
      huggingface.load_language_model(tmp_path / "m")
    else:
      huggingface.load_value_model(tmp_path / "m", head=models.HeadConfig(head))


@pytest.mark.parametrize("variant", ["llama32_tied", "gpt2"])
def test_a_tied_model_may_hold_its_output_table_alone(variant, tmp_path):
  _, params = saved_models.save(tmp_path / "m", variant)
  name = {"gpt2": "transformer.wte.weight"}.get(variant, EMBEDDING)
  saved_models.edit(
    tmp_path / "m", lambda x: x.update({"lm_head.weight": x.pop(name)})
  )
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )
  for kind in ("v", "q"):
    _, _, values = huggingface.load_value_model(
      tmp_path / "m", head=models.HeadConfig(kind)
    )
    saved_models.assert_same(
      values["params"]["backbone"], params["params"]["backbone"]
    )


@pytest.mark.parametrize("variant", ["llama32_tied", "llama", "qwen2", "gpt2"])
def test_one_table_or_two_alike_read_as_in_transformers(
  variant, tmp_path, torch_and_transformers
):
  _, transformers = torch_and_transformers
  config, _ = saved_models.save(tmp_path / "m", variant)
  name = {"gpt2": "transformer.wte.weight"}.get(variant, EMBEDDING)
  if config.tied_embeddings:
    alone = lambda x: x.update({"lm_head.weight": x.pop(name)})
    saved_models.edit(tmp_path / "m", alone, metadata={"format": "pt"})
  torch_model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path / "m"
  )
  expected = torch_models.logits(
    torch_model, saved_models.TOKENS, np.ones_like(saved_models.TOKENS)
  )
  params = huggingface.load_language_model(tmp_path / "m")[1]
  got = saved_models.apply(models.LanguageModel(config), params)
  np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)


def test_rotary_keys_of_both_releases_read_as_in_transformers(
  tmp_path, torch_and_transformers
):
  _, transformers = torch_and_transformers
  saved_models.save(tmp_path / "m", "llama31")
  file = tmp_path / "m" / "config.json"
  raw = json.loads(file.read_text())
  raw["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e5}
  file.write_text(json.dumps(raw))
  torch_model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path / "m"
  )
  expected = torch_models.logits(
    torch_model, saved_models.TOKENS, np.ones_like(saved_models.TOKENS)
  )
  config, params = huggingface.load_language_model(tmp_path / "m")
  got = saved_models.apply(models.LanguageModel(config), params)
  np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)
  assert config.rope_scaling.kind == "llama3"


@pytest.mark.parametrize(
  ("change", "says"),
  [
    (lambda x: x.astype(np.int32), "is I32; expected one of F64"),
    (lambda x: x > 0, "is BOOL; expected"),
    (lambda x: x.astype(ml_dtypes.float8_e4m3fn), "is F8_E4M3; expected"),
    (lambda x: x.astype(ml_dtypes.float8_e5m2), "is F8_E5M2; expected"),
    (lambda x: np.where(x == x.max(), np.nan, x), "has entries .* not finite"),
    (lambda x: np.where(x == x.max(), np.inf, x), "has entries .* not finite"),
    (
      lambda x: np.where(x == x.max(), np.nan, x).astype(ml_dtypes.bfloat16),
      "has entries .* not finite",
    ),
    (
      lambda x: np.where(x == x.max(), -np.inf, x).astype(np.float16),
      "has entries .* not finite",
    ),
  ],
)
def test_tensors_that_are_no_weights_are_named(change, says, tmp_path):
  saved_models.save(tmp_path / "m", "llama")
  file = tmp_path / "m" / "model.safetensors"
  saved_models.edit(
    tmp_path / "m", lambda x: x.update({Q_PROJ: change(x[Q_PROJ])})
  )
  with pytest.raises(InputError, match=f"{file}: tensor {Q_PROJ} {says}"):
    huggingface.load_language_model(tmp_path / "m")


def test_large_and_subnormal_weights_are_finite(tmp_path):
  saved_models.save(tmp_path / "m", "llama")
  large = np.float32([3e38, -3e38, 1e-40, 0.0])
  for dtype in (np.float32, ml_dtypes.bfloat16):
    saved_models.edit(
      tmp_path / "m",
      lambda x, d=dtype: x.update(
        {Q_PROJ: np.resize(large, x[Q_PROJ].shape).astype(d)}
      ),
    )
    huggingface.load_language_model(tmp_path / "m")


@pytest.mark.parametrize(
  ("stored", "number", "dtype"),
  [
    (np.float64, 1e300, "float32"),
    (np.float32, 3.4e38, "bfloat16"),
    (np.float64, -1e39, "bfloat16"),
  ],
)
def test_weights_that_the_dtype_cannot_hold_are_refused(
  stored, number, dtype, tmp_path
):
  saved_models.save(tmp_path / "m", "llama")
  load = lambda: huggingface.load_language_model(
    tmp_path / "m", param_dtype=dtype
  )
  saved_models.edit(
    tmp_path / "m", lambda x: x.update({Q_PROJ: x[Q_PROJ].astype(stored)})
  )
  load()
  saved_models.edit(
    tmp_path / "m",
    lambda x: x.update({Q_PROJ: np.where(x[Q_PROJ] > 0, number, x[Q_PROJ])}),
  )
  with pytest.raises(InputError, match=f"query.* beyond the range of {dtype}"):
    load()


def test_a_newer_single_file_beside_an_old_index_is_read(
  tmp_path, torch_and_transformers
):
  _, transformers = torch_and_transformers
  config, _ = saved_models.save(tmp_path / "m", "llama", max_shard_bytes=40_000)
  params = decoders.params(models.LanguageModel(config), seed=7)
  saving.save_language_model(tmp_path / "n", config, params, "llama")
  (tmp_path / "n" / "model.safetensors").rename(
    tmp_path / "m" / "model.safetensors"
  )
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )
  torch_model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path / "m"
  )
  got = torch_models.logits(
    torch_model, saved_models.TOKENS, np.ones_like(saved_models.TOKENS)
  )
  expected = saved_models.apply(models.LanguageModel(config), params)
  np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)


def test_byte_order_marks_and_blank_lines_are_read_over(tmp_path):
  _, params = saved_models.save(tmp_path / "m", "llama", max_shard_bytes=40_000)
  for name in ("config.json", tensor_files.INDEX):
    file = tmp_path / "m" / name
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes() + b"\n\n \n")
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )


def test_pickled_weights_are_refused_with_the_line_that_converts_them(
  tmp_path, torch_and_transformers
):
  torch, _ = torch_and_transformers
  config, params = saved_models.save(tmp_path / "m", "llama32_tied")
  file = tmp_path / "m" / "model.safetensors"
  tensors = {
    name: torch.tensor(x)
    for name, x in safetensors_numpy.load_file(file).items()
  }
  tensors["lm_head.weight"] = tensors[EMBEDDING]
  file.unlink()
  torch.save(tensors, tmp_path / "m" / "pytorch_model.bin")
  with pytest.raises(InputError, match="unpickling may run code") as error:
    huggingface.load_language_model(tmp_path / "m")
  assert "\n" not in str(error.value)
  command = str(error.value).partition("installed: ")[2]
  python, *args = shlex.split(command)
  assert python == "python"
  subprocess.run([sys.executable, *args], check=True)
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )


def test_the_text_part_of_a_model_that_also_reads_images(tmp_path):
  config, params = saved_models.save(
    tmp_path / "m", "gemma3", token_ids={"eos_token_id": 1}
  )
  file = tmp_path / "m" / "config.json"
  text = json.loads(file.read_text())
  del text["eos_token_id"]
  whole = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 3,
    "eos_token_id": [1, 5],
    "model_type": "gemma3",
    "text_config": text,
    "vision_config": {"hidden_size": 8},
  }
  file.write_text(json.dumps(whole))

  def nest(tensors):
    for name in list(tensors):
      tensors[f"language_model.{name}"] = tensors.pop(name)
    tensors["vision_tower.patches"] = np.zeros(3, np.float32)

  saved_models.edit(tmp_path / "m", nest)
  found, same = huggingface.load_language_model(tmp_path / "m")
  assert found == config
  saved_models.assert_same(same, params)
  assert huggingface.token_ids(tmp_path / "m")["eos_token_id"] == [1, 5]
  file.write_text(json.dumps(whole | {"text_config": None}))
  with pytest.raises(InputError, match="text_config is None"):
    huggingface.load_language_model(tmp_path / "m")
