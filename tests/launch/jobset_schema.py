"""What a JobSet may hold, of the fields that we use; all others are errors.

Written from the reference documentation of jobset.x-k8s.io/v1alpha2, batch/v1
Job, and v1 Pod: names, types, required fields, allowed values and limits.
"""

TEXT = {"type": "string", "minLength": 1}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
NAME = {
  "type": "string",
  "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
  "maxLength": 63,
}


def thing(required=(), **properties):
  """An object of these fields and no others."""
  return {
    "type": "object",
    "properties": properties,
    "required": list(required),
    "additionalProperties": False,
  }


def several(items, **limits):
  return {"type": "array", "items": items, "minItems": 1, **limits}


def one_of(*values):
  return {"enum": list(values)}


METADATA = thing(name=NAME, annotations=LABELS, labels=LABELS)

POD_RULE = {
  **thing(
    ["action"],
    action=one_of("FailJob", "FailIndex", "Ignore", "Count"),
    onExitCodes=thing(
      ["operator", "values"],
      containerName=NAME,
      operator=one_of("In", "NotIn"),
      values=several(
        {"type": "integer", "minimum": 1, "maximum": 255},
        uniqueItems=True,
        maxItems=255,
      ),
    ),
    onPodConditions=several(
      thing(
        ["type", "status"], type=TEXT, status=one_of("True", "False", "Unknown")
      ),
      maxItems=20,
    ),
  ),
  "oneOf": [{"required": ["onExitCodes"]}, {"required": ["onPodConditions"]}],
}

CONTAINER = thing(
  ["name", "image"],
  name=NAME,
  image=TEXT,
  args=several({"type": "string"}),
  env=several(thing(["name"], name=TEXT, value={"type": "string"})),
  securityContext=thing(privileged=FLAG, runAsUser=COUNT),
  ports=several(
    thing(
      ["containerPort"],
      containerPort={"type": "integer", "minimum": 1, "maximum": 65535},
    )
  ),
  resources=thing(
    limits={
      "type": "object",
      "properties": {"google.com/tpu": {"type": "integer", "minimum": 1}},
      "additionalProperties": False,
    }
  ),
  volumeMounts=several(
    thing(
      ["name", "mountPath"],
      name=NAME,
      mountPath={"type": "string", "pattern": "^/[^:]*$"},
    )
  ),
)

VOLUME = {
  **thing(
    ["name"],
    name=NAME,
    csi=thing(["driver"], driver=TEXT, volumeAttributes=LABELS),
    persistentVolumeClaim=thing(["claimName"], claimName=NAME),
  ),
  "oneOf": [{"required": ["csi"]}, {"required": ["persistentVolumeClaim"]}],
}

POD = thing(
  ["containers", "restartPolicy"],
  restartPolicy=one_of("Never"),  # a podFailurePolicy allows no other
  terminationGracePeriodSeconds=COUNT,
  nodeSelector=LABELS,
  serviceAccountName=NAME,
  containers=several(CONTAINER),
  volumes=several(VOLUME),
)

JOB = thing(
  ["template"],
  parallelism=COUNT,
  completions=COUNT,
  completionMode=one_of("NonIndexed", "Indexed"),
  backoffLimit=COUNT,
  podFailurePolicy=thing(["rules"], rules=several(POD_RULE, maxItems=20)),
  template=thing(["spec"], metadata=METADATA, spec=POD),
)

JOB_RULE = thing(
  ["action"],
  name={
    "type": "string",
    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
  },
  action=one_of(
    *("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts")
  ),
  onJobFailureReasons=several(
    one_of(
      *("BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes"),
      *("MaxFailedIndexesExceeded", "PodFailurePolicy"),
    ),
    uniqueItems=True,
  ),
  onJobFailureMessagePatterns=several(
    {"type": "string", "format": "regex"}, uniqueItems=True
  ),
  targetReplicatedJobs=several(NAME),
)

JOBSET = thing(
  ["apiVersion", "kind", "metadata", "spec"],
  apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
  kind={"const": "JobSet"},
  metadata={**METADATA, "required": ["name"]},
  spec=thing(
    ["replicatedJobs"],
    network=thing(
      enableDNSHostnames=FLAG, publishNotReadyAddresses=FLAG, subdomain=NAME
    ),
    failurePolicy=thing(maxRestarts=COUNT, rules=several(JOB_RULE)),
    replicatedJobs=several(
      thing(
        ["name", "template"],
        name=NAME,
        replicas=COUNT,
        template=thing(["spec"], metadata=METADATA, spec=JOB),
      )
    ),
  ),
)
