"""A gcloud with one slice, whose states the test has written down.

state.json: node and queue are lists of states, each describe takes one and the last one stays;
created: what they become by `create`; workers; silent, those that do
not answer, or silent_after_start: none does until the slice is made again; refuses: what every
call says instead.
"""

import sys

import world

words = [word for word in sys.argv[1:] if not word.startswith("--")]
flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--"))
assert words[:2] == ["compute", "tpus"], words
kind, verb = words[2:4]
world.record("gcloud")


def describe(known):
    of = {"tpu-vm": "node", "queued-resources": "queue"}[kind]
    now = known[of][0]
    known[of] = known[of][1:] or [now]
    if now == "MISSING":
        sys.exit(f"ERROR: (gcloud.compute.tpus.{kind}.describe) NOT_FOUND: Resource was not found.")
    if of == "node":
        assert flags["format"] == "value(state,acceleratorType,networkEndpoints.len())"
        return print(now, known["type"], known["workers"], sep="\t")
    return print(now)


def create(known):
    known |= known["created"] | {"type": flags["accelerator-type"], "silent": []}


def delete(known):
    known |= {"node": ["MISSING"], "queue": ["MISSING"]}


def ssh(known):
    which = flags["worker"]
    workers = range(known["workers"]) if which == "all" else [int(which)]
    silent = known.get("silent", [])
    shells = [world.on_host(worker, flags["command"]) for worker in workers if worker not in silent]
    for shell in shells:
        print(shell.communicate()[0], end="")
    if silent or any(shell.returncode for shell in shells):
        sys.exit(1)


def scp(known):
    *sources, target = words[4:]
    for worker in range(known["workers"]):
        world.copy(sources, worker, target.split(":")[1])


with world.state() as known:
    if "refuses" in known:
        sys.exit(known["refuses"])
    if verb in ("describe", "create", "delete"):
        globals()[verb](known)
if verb in ("ssh", "scp"):
    globals()[verb](known)
if known.get("silent_after_start") and flags.get("command", "").endswith(" start"):
    with world.state() as known:
        known |= {"silent": [*range(known["workers"])], "silent_after_start": False}
