"""The endpoint as OpenAI's own client sees it, beside offline decoding."""

import json
import math
import threading

import httpx2
import numpy as np
import openai
import pytest
from oracles import endpoints, engines, players

from qsharp_jax import data
from qsharp_jax.core import seeds
from qsharp_jax.serving import jobs, scoring

PROMPT = "word1 word2 word3"


@pytest.fixture(scope="module")
def client(running):
  with running.client() as client:
    yield client


def offline(tokenizer, prompt=PROMPT, **asked):
  """Texts and completions of the loop that experiments run."""
  how = {"method": "qsharp", "eta": 0.2, "seed": 0, "max_tokens": 10} | asked
  which = endpoints.METHODS[how["method"]]
  ids = tokenizer.encode(prompt)
  wanted = [
    jobs.Job(
      ids,
      seed,
      how["max_tokens"],
      which=which,
      eta=math.inf if how["method"] == "reference" else how["eta"],
      num_candidates=engines.CANDIDATES[which],
    )
    for seed in seeds.of_samples(how["seed"], ids, 2)
  ]
  found = [engines.offline(job) for job in wanted]
  return [tokenizer.decode(answer.tokens) for answer in found], found


def ask(client, **asked):
  own = {"model": "tiny", "prompt": PROMPT, "max_tokens": 10, "seed": 0} | asked
  which = endpoints.METHODS[own.get("method", "qsharp")]
  own = {"num_candidates": engines.CANDIDATES[which]} | own
  extra = {
    k: own.pop(k) for k in ("method", "eta", "num_candidates") if k in own
  }
  return client.completions.create(**own, extra_body=extra)


def text_of(stream):
  texts = {}
  for part in stream:
    for choice in part.choices:
      texts[choice.index] = texts.get(choice.index, "") + choice.text
  return texts


@pytest.mark.parametrize("method", ["reference", "qsharp", "vas"])
def test_answers_equal_offline_ones_at_the_same_seed(client, tokenizer, method):
  texts, found = offline(tokenizer, method=method)
  answer = ask(client, n=2, method=method, logprobs=0)
  assert [choice.text for choice in answer.choices] == texts
  for choice, own in zip(answer.choices, found, strict=True):
    assert choice.finish_reason == ("stop" if own.ended else "length")
    np.testing.assert_allclose(
      choice.logprobs.token_logprobs, own.log_probs, atol=1e-4
    )
    assert "".join(choice.logprobs.tokens)
  assert answer.usage.completion_tokens == sum(len(a.tokens) for a in found)
  assert answer.usage.prompt_tokens == 3


def test_many_at_once_and_streams_get_the_same_answers(client, tokenizer):
  etas = [0.1, 0.2, 2.0] * 4
  wanted = [
    offline(tokenizer, eta=eta, seed=seed)[0][0]
    for seed, eta in enumerate(etas)
  ]
  got = [None] * len(etas)

  def one(i):
    stream = ask(client, eta=etas[i], seed=i, stream=bool(i % 2))
    got[i] = text_of(stream)[0] if i % 2 else stream.choices[0].text

  threads = [threading.Thread(target=one, args=(i,)) for i in range(len(etas))]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert got == wanted
  assert len(set(wanted)) > 6


def test_stop_strings_cut_text_and_tokens_alike_in_streams(client, tokenizer):
  num_cut = 0
  for seed in range(6):
    (text, _), (own, _) = offline(tokenizer, seed=seed)
    stops = [text[3:8], "d1"] if len(text) > 9 else ["d1"]
    whole = ask(client, seed=seed, stop=stops, logprobs=1)
    (choice,) = whole.choices
    assert choice.text == data.stops.cut(text, stops)
    parts = list(
      ask(
        client,
        seed=seed,
        stop=stops,
        stream=True,
        stream_options={"include_usage": True},
      )
    )
    assert text_of(parts).get(0, "") == choice.text
    assert parts[-1].usage.completion_tokens == whole.usage.completion_tokens
    number = len(choice.logprobs.tokens)
    assert number == whole.usage.completion_tokens <= len(own.tokens)
    if choice.text != text:
      num_cut += 1
      assert choice.finish_reason == "stop"
      before = tokenizer.decode(own.tokens[: number - 1])
      assert data.stops.cut(before, stops) == before
  assert num_cut > 2


def test_chat_equals_completions_of_its_prompt(client):
  chat = client.chat.completions.create(
    model="tiny",
    messages=[{"role": "user", "content": PROMPT}],
    seed=0,
    max_completion_tokens=10,
    logprobs=True,
    top_logprobs=2,
    extra_body={"eta": 0.2, "num_candidates": 2},
  )
  (choice,) = chat.choices
  plain = ask(client, logprobs=2).choices[0]
  assert choice.message.content == plain.text
  tokens = choice.logprobs.content
  assert [t.token for t in tokens] == plain.logprobs.tokens
  np.testing.assert_allclose(
    [t.logprob for t in tokens], plain.logprobs.token_logprobs, atol=1e-5
  )
  assert all(len(t.top_logprobs) == 2 for t in tokens)
  stream = client.chat.completions.create(
    model="tiny",
    messages=[{"role": "user", "content": PROMPT}],
    seed=0,
    max_tokens=10,
    stream=True,
    extra_body={"eta": 0.2, "num_candidates": 2},
  )
  deltas = [part.choices[0].delta for part in stream]
  assert deltas[0].role == "assistant"
  assert "".join(d.content or "" for d in deltas) == plain.text


def test_echo_scores_the_prompt_by_the_reference(client, tokenizer):
  answer = ask(
    client, echo=True, logprobs=1, max_tokens=0, method="reference"
  ).choices[0]
  assert answer.text == PROMPT and answer.finish_reason == "length"
  log_probs, top = scoring.score(
    engines.policy().reference,
    players.params("v")["reference"],
    tokenizer.encode(PROMPT),
    width=16,
    num_top=5,
  )
  first, *rest = answer.logprobs.token_logprobs
  assert first is None and rest == log_probs.tolist()
  likeliest = [
    list(found.values()) for found in answer.logprobs.top_logprobs[1:]
  ]
  assert likeliest == top.log_probs[:, :1].tolist()
  both = ask(client, echo=True, logprobs=1, method="reference", max_tokens=3)
  assert both.choices[0].text.startswith(PROMPT)
  assert (
    len(both.choices[0].logprobs.tokens) == 3 + both.usage.completion_tokens
  )


def test_several_prompts_are_choices_in_order(client):
  prompts = [PROMPT, "word5", [7, 8, 9]]
  together = ask(client, prompt=prompts, n=2).choices
  alone = [c for p in prompts for c in ask(client, prompt=p, n=2).choices]
  assert [c.text for c in together] == [c.text for c in alone]
  assert [c.index for c in together] == list(range(6))


def test_models_health_and_metrics(client, running):
  assert [model.id for model in client.models.list()] == ["tiny"]
  assert client.models.retrieve("tiny").id == "tiny"
  with pytest.raises(openai.NotFoundError):
    client.models.retrieve("gpt")
  assert httpx2.get(f"{running.url}/health").json() == {"status": "ok"}
  ask(client)
  counts = dict(
    line.rsplit(" ", 1)
    for line in httpx2.get(f"{running.url}/metrics").text.splitlines()
    if not line.startswith("#")
  )
  answered = counts[
    'qsharp_requests_total{route="/v1/completions",status="200"}'
  ]
  assert int(answered) >= 1 and float(counts["qsharp_rows"]) == 4
  assert float(counts["qsharp_completion_tokens_total"]) > 0


WRONG = {
  "an unknown field": ({"etta": 1}, 400, "etta"),
  "an eta of 0": ({"eta": 0}, 400, "eta"),
  "a word for eta": ({"eta": "small"}, 400, "eta"),
  "true for eta": ({"eta": True}, 400, "eta"),
  "an unknown method": ({"method": "magic"}, 400, "method"),
  "a list for a method": ({"method": ["qsharp"]}, 400, "method"),
  "too many candidates": ({"num_candidates": 99}, 400, "num_candidates"),
  "no tokens": ({"max_tokens": 0}, 400, "max_tokens"),
  "too many tokens": ({"max_tokens": 10**9}, 400, "max_tokens"),
  "half a token": ({"max_tokens": 1.5}, 400, "max_tokens"),
  "a cold temperature": ({"temperature": -1}, 400, "temperature"),
  "a top_p of 0": ({"top_p": 0}, 400, "top_p"),
  "no samples": ({"n": 0}, 400, "n"),
  "too many samples": ({"n": 10**6}, 400, "n"),
  "a huge seed": ({"seed": 10**30}, 400, "seed"),
  "an empty stop": ({"stop": ""}, 400, "stop"),
  "a number for a stop": ({"stop": [1]}, 400, "stop"),
  "many stops": ({"stop": ["a"] * 17}, 400, "stop"),
  "many alternatives": ({"logprobs": 6}, 400, "logprobs"),
  "a penalty": ({"presence_penalty": 1}, 400, "presence_penalty"),
  "a text for stream": ({"stream": "yes"}, 400, "stream"),
  "another model": ({"model": "gpt"}, 404, "model"),
  "an object as prompt": ({"prompt": {}}, 400, "prompt"),
  "no prompt": ({"prompt": []}, 400, "prompt"),
  "an empty prompt": ({"prompt": ""}, 400, "prompt"),
  "many prompts": ({"prompt": ["word1"] * 9}, 400, "prompt"),
  "an id that is none": ({"prompt": [1, 99]}, 400, "prompt"),
  "a negative id": ({"prompt": [-1]}, 400, "prompt"),
  "an id of 70 bits": ({"prompt": [2**70]}, 400, "prompt"),
  "mixed ids": ({"prompt": [1, "a"]}, 400, "prompt"),
  "a long prompt": ({"prompt": "word1 " * 30}, 400, "prompt"),
  "a longer prompt": ({"prompt": "word1 " * 500}, 400, "prompt"),
  "half a surrogate pair": ({"prompt": "\ud800"}, 400, "prompt"),
  "a guided echo": ({"echo": True, "logprobs": 1}, 400, "method"),
}


@pytest.mark.parametrize("name", list(WRONG))
@pytest.mark.parametrize("is_streamed", [False, True])
def test_wrong_requests_are_refused_as_openai_does(running, name, is_streamed):
  changes, status, param = WRONG[name]
  body = {"model": "tiny", "prompt": PROMPT, "stream": is_streamed} | changes
  # json.dumps writes half of a pair as an escape, as an attacker would.
  refused(running, json.dumps(body), status, param)


@pytest.mark.parametrize(
  "messages",
  [None, [], "hello", [1], [{"role": "user"}], [{"content": "a"}]]
  + [[{"role": "user", "content": [{"type": "image_url"}]}]],
)
def test_wrong_messages_are_refused(running, messages):
  body = json.dumps({"model": "tiny", "messages": messages})
  refused(running, body, 400, "messages", path="/v1/chat/completions")


@pytest.mark.parametrize(
  "body",
  ["", "{", "[]", "1", "nul", '{"a": NaN}', "[" * 3000, '{"n": ' + "9" * 3900]
  + [b"\xff\xfe", b'{"prompt": "\xff"}'],
)
def test_what_is_no_json_object_is_refused(running, body):
  refused(running, body, 400, None)


def test_other_types_paths_and_sizes(running):
  refused(running, "{}", 415, None, kind="text/plain")
  refused(running, "{}", 404, None, path="/v1/other")
  refused(running, " " * 4001, 413, None)
  found = httpx2.get(f"{running.url}/v1/completions")
  assert found.status_code == 405 and "error" in found.json()
  for name, status in (
    ("evil.example", 403),
    ("localhost.evil.example:80", 403),
    ("", 403),
    ("localhost", 200),
    ("[::1]:8000", 200),
  ):
    found = httpx2.get(f"{running.url}/v1/models", headers={"host": name})
    assert found.status_code == status


def refused(
  running, body, status, param, path="/v1/completions", kind="application/json"
):
  content = body.encode() if isinstance(body, str) else body
  found = httpx2.post(
    running.url + path, content=content, headers={"content-type": kind}
  )
  error = found.json()["error"]
  assert (found.status_code, error["param"]) == (status, param), found.text
  assert error["message"] and len(error["message"]) < 600
  assert error["type"] in ("invalid_request_error", "not_found_error")


def test_a_full_queue_says_when_to_come_again(client, running):
  with pytest.raises(openai.RateLimitError) as error:
    ask(client, n=41)
  assert error.value.response.headers["retry-after"] == "1"
  running.wait_until_idle()


def test_a_key_is_asked_for(tokenizer, engine, running):
  del running  # whose thread has the engine: this one's is never used
  with endpoints.running(tokenizer, endpoints.Idle(), token="secret") as own:
    for key in ("none", "secre", "secret2", "sécret"):
      found = httpx2.get(
        f"{own.url}/v1/models",
        headers={"authorization": f"Bearer {key}".encode()},
      )
      assert found.status_code == 401
    with own.client(api_key="secret") as client:
      assert [model.id for model in client.models.list()] == ["tiny"]
    assert httpx2.get(f"{own.url}/health").status_code == 200


def test_temperature_is_the_request_s_own(client):
  own = ask(client, temperature=0.0, method="reference").choices[0]
  again = ask(client, temperature=0.0, method="reference", seed=5).choices[0]
  assert own.text == again.text
  assert (
    ask(client, seed=1).choices[0].text != ask(client, seed=2).choices[0].text
  )
