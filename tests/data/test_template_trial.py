import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import (
  chat_template,
  new_tokenizers,
  template_trial,
  tokenizer,
)

MESSAGES = [{"role": "user", "content": "How many?"}]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
  """Half a GiB and a second, in the processes that trials start."""
  code = template_trial._CODE.replace(
    "template_trial.main()",
    "template_trial._MEMORY, template_trial._SECONDS = 2**29, 1; "
    "template_trial.main()",
  )
  monkeypatch.setattr(template_trial, "_CODE", code)


@pytest.mark.parametrize(
  "template",
  [
    "{{ 'x' * 10 ** 10 }}",
    "{{ '%10000000000d' % 1 }}",
    "{% set t = namespace(x='xx') %}"
    "{% for i in range(60) %}{% set t.x = t.x ~ t.x %}{% endfor %}",
  ],
)
def test_a_step_that_takes_all_memory_is_refused(template):
  with pytest.raises(InputError, match="takes more than 2 GiB of memory or"):
    template_trial.check(template, MESSAGES, {})


def test_a_step_that_computes_for_ever_is_refused():
  with pytest.raises(InputError, match="or 10 s to render"):
    template_trial.check("{{ 7 ** (10 ** 9) }}", MESSAGES, {})


def test_a_template_is_tried_once(monkeypatch):
  trials = []
  run = template_trial.subprocess.run
  monkeypatch.setattr(
    template_trial.subprocess,
    "run",
    lambda *args, **kwargs: trials.append(args) or run(*args, **kwargs),
  )
  template = "{{ bos_token }}{{ messages[0]['content'] }}"
  for messages in (MESSAGES, [{"role": "user", "content": "Why?"}]):
    template_trial.check(template, messages, {"bos_token": "<s>"})
  assert len(trials) == 1


def test_faults_are_left_to_whoever_renders():
  template_trial.check("{{ 1 // 0 }}{% if %}", MESSAGES, {})


def test_prompts_are_rendered_by_tried_templates_only(tmp_path):
  new_tokenizers.train_byte_level_bpe(
    ["a b c"], vocab_size=258, directory=tmp_path
  )
  hf = tokenizer.load(tmp_path).hf
  hf.chat_template = "{{ messages[0]['content'] }}{{ 'x' * 10 ** 10 }}"
  with pytest.raises(InputError, match="takes more than 2 GiB"):
    chat_template.render(hf, MESSAGES)
