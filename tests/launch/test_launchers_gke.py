"""launch/gke.py: the manifest against its schema, and what kubectl is told."""

import copy
import re
import sys

import jobset_schema
import jsonschema
import pytest
import recorded_commands
import yaml

from launch import gke
from qsharp_jax.core import errors

MODULE = [
  "experiments.gsm8k",
  "--workdir=/shared/run",
  "--config.mesh=(2,1,1)",
  "--config.evaluation.methods=('qsharp', 'cd')",
  "--config.data.prompt=it's: $HOME `true`\nEND # {no}: - 1",
]
GIVEN = {
  "name": "mine",
  "where": gke.Slice.find("v5e:4x8"),
  "image": "place/qsharp:1",
  "volume": "bucket:runs",
}
FLAGS = [
  "--name=mine",
  "--topology=v5e:4x8",
  "--image=place/qsharp:1",
  "--volume=bucket:runs",
]


def check(manifest):
  jsonschema.Draft202012Validator.check_schema(jobset_schema.JOBSET)
  jsonschema.validate(
    manifest,
    jobset_schema.JOBSET,
    format_checker=jsonschema.FormatChecker(),
  )


def paths(tree, path=()):
  """Paths of all nodes of a tree of dicts and lists."""
  yield path
  items = tree.items() if isinstance(tree, dict) else enumerate(tree)
  for key, value in items if isinstance(tree, dict | list) else ():
    if isinstance(value, dict | list):
      yield from paths(value, (*path, key))
    else:
      yield (*path, key)


def at(tree, path):
  for key in path:
    tree = tree[key]
  return tree


@pytest.mark.parametrize("volume", ["bucket:runs", "claim:runs"])
@pytest.mark.parametrize("topology", ["v5e:2x4", "v5p:2x2x4", "v6e:16x16"])
@pytest.mark.parametrize("is_spot", [False, True])
def test_a_manifest_fits_its_schema(volume, topology, is_spot):
  check(
    gke.jobset(
      MODULE,
      **GIVEN
      | {"volume": volume, "where": gke.Slice.find(topology)}
      | {"is_spot": is_spot},
    )
  )


def test_a_wrong_field_or_value_is_found_everywhere():
  manifest = gke.jobset(MODULE, **GIVEN)
  free = {"args", "annotations", "volumeAttributes", "nodeSelector"}
  num_fields = 0
  for path in paths(manifest):
    if free & set(path):
      continue  # holds any text
    broken = copy.deepcopy(manifest)
    node = at(broken, path)
    if isinstance(node, dict):
      node["comandd"] = "x"
    else:
      at(broken, path[:-1])[path[-1]] = {"no": "such"}
    with pytest.raises(jsonschema.ValidationError):
      check(broken)
    num_fields += 1
  assert num_fields > 50


@pytest.mark.parametrize(
  "path, value",
  [
    (("apiVersion",), "jobset.x-k8s.io/v1"),
    (("metadata", "name"), "My_Run"),
    (("spec", "failurePolicy", "maxRestarts"), -1),
    (("spec", "failurePolicy", "rules", 0, "action"), "FailJob"),
    (("spec", "failurePolicy", "rules", 0, "name"), "wrong-input"),
    (
      ("spec", "failurePolicy", "rules", 0, "onJobFailureMessagePatterns", 0),
      "(",
    ),
  ],
)
def test_a_value_that_kubernetes_refuses_is_found(path, value):
  manifest = gke.jobset(MODULE, **GIVEN)
  at(manifest, path[:-1])[path[-1]] = value
  with pytest.raises(jsonschema.ValidationError):
    check(manifest)


@pytest.mark.parametrize(
  "topology, expected",
  [
    ("v5e:1x1", ("tpu-v5-lite-podslice", "1x1", 1, 1)),
    ("v5e:2x4", ("tpu-v5-lite-podslice", "2x4", 1, 8)),
    ("v5e:4x8", ("tpu-v5-lite-podslice", "4x8", 8, 4)),
    ("v6e:2x4", ("tpu-v6e-slice", "2x4", 1, 8)),
    ("v5p:2x2x1", ("tpu-v5p-slice", "2x2x1", 1, 4)),
    ("v5p:2x2x4", ("tpu-v5p-slice", "2x2x4", 4, 4)),
    ("v4:4x4x4", ("tpu-v4-podslice", "4x4x4", 16, 4)),
  ],
)
def test_hosts_and_chips_of_a_slice(topology, expected):
  where = gke.Slice.find(topology)
  assert (
    *(where.accelerator, where.topology),
    *(where.num_hosts, where.chips_per_host),
  ) == expected
  manifest = gke.jobset(MODULE, **GIVEN | {"where": where})
  job = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
  (container,) = job["template"]["spec"]["containers"]
  assert job["parallelism"] == job["completions"] == expected[2]
  assert container["resources"]["limits"] == {"google.com/tpu": expected[3]}


@pytest.mark.parametrize(
  "message, action",
  [
    (
      "Container main for pod default/mine-slice-0-1-x failed with exit code 75"
      " matching FailJob rule at index 1",
      "RestartJobSetAndIgnoreMaxRestarts",
    ),
    (
      "Container main for pod default/mine-slice-0-1-x failed with exit code 2"
      " matching FailJob rule at index 0",
      "FailJobSet",
    ),
    (
      "Pod default/mine-slice-0-1-x has condition DisruptionTarget matching"
      " FailJob rule at index 2",
      "RestartJobSetAndIgnoreMaxRestarts",
    ),
    (
      "Container main for pod default/exit-code-2-matching failed with exit"
      " code 1",
      None,  # a restart that counts
    ),
  ],
)
def test_what_follows_a_failure(message, action):
  manifest = gke.jobset(MODULE, **GIVEN)
  rules = manifest["spec"]["failurePolicy"]["rules"]
  found = [
    rule["action"]
    for rule in rules
    if any(re.search(p, message) for p in rule["onJobFailureMessagePatterns"])
  ]
  assert found == ([action] if action else [])


def test_the_driver_of_buckets_sees_only_pods_with_one():
  for volume, sees in (("bucket:runs", True), ("claim:runs", False)):
    text = yaml.safe_dump(gke.jobset(MODULE, **GIVEN | {"volume": volume}))
    assert ("gke-gcsfuse/volumes: 'true'" in text) == sees


def test_kubernetes_puts_no_variable_into_a_word():
  manifest = gke.jobset([*MODULE, "--a=$(HOME) $HOME"], **GIVEN)
  job = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
  (container,) = job["template"]["spec"]["containers"]
  assert container["args"] == [*MODULE, "--a=$$(HOME) $HOME"]


@pytest.fixture
def fakes(tmp_path):
  return recorded_commands.Fakes(tmp_path / "bin", ["kubectl"])


def launch(fakes, *words):
  return fakes.run(sys.executable, "-m", "launch.gke", *words)


def test_kubectl_gets_the_manifest(fakes):
  assert launch(fakes, *FLAGS, "--", *MODULE).returncode == 0
  ((*command, manifest),) = fakes.calls()
  assert command == ["kubectl", "apply", "-f", "-"]
  assert yaml.safe_load(manifest) == gke.jobset(MODULE, **GIVEN)


def test_a_dry_run_prints_what_a_shell_can_run(fakes):
  done = launch(fakes, *FLAGS, "--dry_run", "--", *MODULE)
  assert done.returncode == 0 and not fakes.calls()
  assert fakes.run("bash", "-c", done.stdout).returncode == 0
  ((*command, manifest),) = fakes.calls()
  assert command == ["kubectl", "apply", "-f", "-"]
  assert yaml.safe_load(manifest) == gke.jobset(MODULE, **GIVEN)


def test_kubectls_refusal_is_ours(fakes):
  fakes.answer([[["kubectl"], "no", 1]])
  assert launch(fakes, *FLAGS, "--", *MODULE).returncode == 1


def test_a_wrong_command_line_is_one_line(fakes):
  done = launch(fakes, *FLAGS, "--", "experiments.gsm8k")
  assert done.returncode == 2 and not fakes.calls()
  (line,) = done.stderr.splitlines()
  assert line.startswith("error: ") and "--workdir=/shared/" in line


@pytest.mark.parametrize(
  "wrong, says",
  [
    ({"name": "My_Run"}, "My_Run"),
    ({"name": "a" * 41}, "at most 40"),
    ({"volume": "disk:x"}, "claim:NAME"),
    ({"volume": "bucket:"}, "bucket:NAME"),
  ],
)
def test_a_wrong_value_is_named(wrong, says):
  with pytest.raises(errors.InputError, match=says):
    gke.jobset(MODULE, **GIVEN | wrong)


@pytest.mark.parametrize("name", ["v9:2x2", "v5e", "v5e:2x2x2", "v5p:4x4", ""])
def test_a_slice_that_does_not_exist_is_named(name):
  with pytest.raises(errors.InputError, match=re.escape(repr(name))):
    gke.Slice.find(name)


def test_workdirs_that_pods_do_not_share_are_refused():
  for flag in ("--workdir=runs/x", "--workdir=/sharedx", "--seed=1"):
    with pytest.raises(errors.InputError, match="/shared"):
      gke.jobset(["experiments.gsm8k", flag], **GIVEN)
