# Questions that the selectors ask about a pod, after the pod's own words: a server is a container that runs for as long as the
# pod does, which is every container and every init container that restarts.
def servers: .spec.containers + [(.spec.initContainers // [])[] | select(.restartPolicy == "Always")];
def reported($name): first(((.status.containerStatuses // []) + (.status.initContainerStatuses // []))[] | select(.name == $name)) // null;
def condition($type): first((.status.conditions // [])[] | select(.type == $type) | .status) // "";
def leaving: .metadata.deletionTimestamp != null;
def lasting: .spec.restartPolicy == "Always" or .spec.restartPolicy == null;

# A container that can be started now: never seen, or ended, or waiting for an image that it no longer asks for.
def startable: . as $pod | any(servers[]; . as $c | ($pod | reported($c.name)) as $s |
  $s == null or $s.state.terminated != null or ($s.state.waiting != null and $s.image != $c.image));

# A container that runs another image than it asks for.
def stoppable: . as $pod | any(servers[]; . as $c | ($pod | reported($c.name)) as $s |
  $s.state.running != null and $s.image != $c.image);

# The reported readiness or generation is not what it should be.
def ready: . as $pod | all(servers[]; . as $c | ($pod | reported($c.name)).ready == true)
  and all((.spec.readinessGates // [])[]; . as $gate | ($pod | condition($gate.conditionType)) == "True");
def stale: .metadata.generation != .status.observedGeneration or ready != (condition("Ready") == "True");
