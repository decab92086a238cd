r"""Runs an experiment on a TPU slice of a Kubernetes cluster (GKE).

Examples:
  python -m launch.gke --name=mine --topology=v5e:4x8 --image=IMAGE \
    --volume=bucket:NAME --dry_run -- \
    experiments.gsm8k --workdir=/shared/run

Makes a JobSet, one pod on each host of the slice, and hands it to kubectl. The
cluster needs the JobSet controller, 0.10 or newer, and a node pool of that
topology; the image is that of launch/Containerfile. Exit codes decide what
comes next: 75 starts all pods again, without limit, and so does the loss of a
node; 2 ends it; anything else starts them again, --max_restarts times.
"""

import dataclasses
import math
import re
import subprocess
import sys
from collections.abc import Sequence

import yaml
from absl import app, flags

from qsharp_jax.core.errors import InputError

_NAME = flags.DEFINE_string("name", None, "Name of the JobSet.", required=True)
_TOPOLOGY = flags.DEFINE_string(
  "topology", None, "The slice, e.g. v5e:4x8 or v5p:2x2x4.", required=True
)
_IMAGE = flags.DEFINE_string(
  "image", None, "Image of launch/Containerfile.", required=True
)
_VOLUME = flags.DEFINE_string(
  "volume",
  None,
  "What is mounted at /shared: bucket:NAME, of Cloud Storage with a "
  "hierarchical namespace, or claim:NAME, a volume claim of many writers.",
  required=True,
)
_ACCOUNT = flags.DEFINE_string(
  "service_account", "default", "Kubernetes account that may use the bucket."
)
_IS_SPOT = flags.DEFINE_bool("spot", False, "Only on spot nodes.")
_MAX_RESTARTS = flags.DEFINE_integer(
  "max_restarts", 5, "How many crashes are forgiven.", 0
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the command, run none.")

SHARED = "/shared"
_CONTAINER = "main"
# gke-tpu-accelerator of each version, and the largest slice that is one host.
_VERSIONS = {
  "v4": ("tpu-v4-podslice", 4),
  "v5e": ("tpu-v5-lite-podslice", 8),
  "v5p": ("tpu-v5p-slice", 4),
  "v6e": ("tpu-v6e-slice", 8),
}
_CHIPS_PER_HOST = 4  # of slices of many hosts
_PREEMPTED, _WRONG_INPUT = 75, 2


@dataclasses.dataclass(frozen=True)
class Slice:
  """A TPU slice as GKE names it."""

  accelerator: str
  topology: str
  num_hosts: int
  chips_per_host: int

  @classmethod
  def find(cls, name: str) -> "Slice":
    """The slice of a name such as v5e:4x8.

    Raises:
      InputError: there is no such slice.
    """
    version, _, topology = name.partition(":")
    dimensions = 2 if version in ("v5e", "v6e") else 3
    sizes = re.fullmatch(
      r"[1-9]\d*" + r"x([1-9]\d*)" * (dimensions - 1), topology
    )
    if version not in _VERSIONS or not sizes:
      raise InputError(
        f"--topology is {name!r}; expected a version, {', '.join(_VERSIONS)}, "
        "and the slice's sizes, as in v5e:4x8 or v5p:2x2x4"
      )
    accelerator, largest = _VERSIONS[version]
    chips = math.prod(map(int, topology.split("x")))
    per_host = chips if chips <= largest else _CHIPS_PER_HOST
    if chips % per_host:
      raise InputError(
        f"--topology {name!r} has {chips} chips, which hosts of {per_host} do "
        "not make up"
      )
    return cls(accelerator, topology, chips // per_host, per_host)


def jobset(
  arguments: Sequence[str],
  *,
  name: str,
  where: Slice,
  image: str,
  volume: str,
  service_account: str = "default",
  is_spot: bool = False,
  max_restarts: int = 5,
) -> dict:
  """The manifest, as plain data.

  Args:
    arguments: a module and its flags, --workdir among them.
    name: of the JobSet.
    where: the slice.
    image: whose entry point runs a module.
    volume: bucket:NAME or claim:NAME.
    service_account: of Kubernetes, for the bucket.
    is_spot: whether nodes must be spot nodes.
    max_restarts: after crashes.

  Raises:
    InputError: a name that Kubernetes refuses, no such kind of volume, a
      workdir that pods would not share.
  """
  if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", name):
    raise InputError(
      f"--name is {name!r}; expected at most 40 of a-z, 0-9 and -, a letter "
      "first"
    )
  workdirs = [a for a in arguments if a.startswith("--workdir=")]
  if not workdirs or not workdirs[-1].startswith(f"--workdir={SHARED}/"):
    raise InputError(
      f"got {workdirs[-1] if workdirs else 'no --workdir'}; pods share "
      f"{SHARED} only: give --workdir={SHARED}/NAME"
    )
  pod = _pod(arguments, where, image, volume)
  pod["serviceAccountName"] = service_account
  if is_spot:
    pod["nodeSelector"]["cloud.google.com/gke-spot"] = "true"
  job = {
    "parallelism": where.num_hosts,
    "completions": where.num_hosts,
    "completionMode": "Indexed",
    "backoffLimit": 0,  # a pod alone cannot join the others again
    "podFailurePolicy": {"rules": _pod_rules()},
    "template": {"spec": pod},
  }
  if "csi" in pod["volumes"][0]:  # lets the driver see the pod
    annotations = {"gke-gcsfuse/volumes": "true"}
    job["template"]["metadata"] = {"annotations": annotations}
  return {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {
      "name": name,
      # One slice for all pods, if the cluster has several of this topology.
      "annotations": {
        "alpha.jobset.sigs.k8s.io/exclusive-topology": (
          "cloud.google.com/gke-nodepool"
        )
      },
    },
    "spec": {
      "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
      "failurePolicy": {"maxRestarts": max_restarts, "rules": _job_rules()},
      "replicatedJobs": [
        {"name": "slice", "replicas": 1, "template": {"spec": job}}
      ],
    },
  }


def _pod(
  arguments: Sequence[str], where: Slice, image: str, volume: str
) -> dict:
  return {
    "restartPolicy": "Never",
    "terminationGracePeriodSeconds": 300,  # for what is saved at the end
    "nodeSelector": {
      "cloud.google.com/gke-tpu-accelerator": where.accelerator,
      "cloud.google.com/gke-tpu-topology": where.topology,
    },
    "containers": [
      {
        "name": _CONTAINER,
        "image": image,
        # Kubernetes would put a variable's value for $(NAME).
        "args": [word.replace("$(", "$$(") for word in arguments],
        # Without a TPU it must fail, not go on on the CPU.
        "env": [{"name": "JAX_PLATFORMS", "value": "tpu,cpu"}],
        # The TPU's devices and locked memory are root's.
        "securityContext": {"privileged": True, "runAsUser": 0},
        "ports": [{"containerPort": 8471}, {"containerPort": 8482}],
        "resources": {"limits": {"google.com/tpu": where.chips_per_host}},
        "volumeMounts": [{"name": "shared", "mountPath": SHARED}],
      }
    ],
    "volumes": [{"name": "shared"} | _volume(volume)],
  }


def _volume(volume: str) -> dict:
  kind, _, name = volume.partition(":")
  if kind == "claim" and name:
    return {"persistentVolumeClaim": {"claimName": name}}
  if kind != "bucket" or not name:
    raise InputError(
      f"--volume is {volume!r}; expected bucket:NAME or claim:NAME"
    )
  return {
    "csi": {
      "driver": "gcsfuse.csi.storage.gke.io",
      "volumeAttributes": {"bucketName": name, "mountOptions": "implicit-dirs"},
    }
  }


def _pod_rules() -> list[dict]:
  """Failures of a pod that name themselves in the failure of the job."""

  def exits(code):
    return {
      "containerName": _CONTAINER,
      "operator": "In",
      "values": [code],
    }

  disruption = [{"type": "DisruptionTarget", "status": "True"}]
  return [
    {"action": "FailJob", "onExitCodes": exits(_WRONG_INPUT)},
    {"action": "FailJob", "onExitCodes": exits(_PREEMPTED)},
    {"action": "FailJob", "onPodConditions": disruption},
  ]


def _job_rules() -> list[dict]:
  """What the JobSet does then; otherwise it counts a restart."""

  def rule(name, action, *patterns):
    return {
      "name": name,
      "action": action,
      "onJobFailureReasons": ["PodFailurePolicy"],
      "onJobFailureMessagePatterns": list(patterns),
    }

  return [
    rule("wrongInput", "FailJobSet", f"exit code {_WRONG_INPUT} matching"),
    rule(
      "preempted",
      "RestartJobSetAndIgnoreMaxRestarts",
      f"exit code {_PREEMPTED} matching",
      "DisruptionTarget matching",
    ),
  ]


def main(argv: list[str]) -> int:
  """Prints the command, or runs it."""
  try:
    if len(argv) < 2:
      raise InputError("nothing to run: end the line with -- MODULE FLAGS")
    manifest = jobset(
      argv[1:],
      name=_NAME.value,
      where=Slice.find(_TOPOLOGY.value),
      image=_IMAGE.value,
      volume=_VOLUME.value,
      service_account=_ACCOUNT.value,
      is_spot=_IS_SPOT.value,
      max_restarts=_MAX_RESTARTS.value,
    )
  except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  text = yaml.safe_dump(manifest, sort_keys=False)
  command = ["kubectl", "apply", "-f", "-"]
  if _DRY_RUN.value:
    print(f"{' '.join(command)} <<'END'\n{text}END")
    return 0
  return subprocess.run(command, input=text, text=True).returncode


if __name__ == "__main__":
  app.run(main)
