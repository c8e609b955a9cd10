"""A gcloud with one slice, whose states the test has written down.

state.json: node and queue are lists of states, each describe takes one and the last one stays;
created: what they become by `create`; workers; refuses: what every call says instead. slices: how
many nodes there are, each with so many workers, where they are several; node_of: states of one.
silent: the workers that do not answer; silent_at_first, the same for each first word of a launch.
after_start: what happens then, once: `silent`, until the slice is made again, or `anew`: worker 1
is as it was at first.
"""

import os
import signal
import sys
import time

import world

words = [word for word in sys.argv[1:] if not word.startswith("--")]
flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--"))
assert words[:2] == ["compute", "tpus"], words
kind, verb = words[2:4]
world.record("gcloud")


def names(known):
    """Of the nodes; one that is alone is named as its queued resource."""
    slices = known.get("slices", 1)
    return ["mine"] if slices == 1 else [f"mine-{index}" for index in range(slices)]


def describe(known):
    of = {"tpu-vm": "node", "queued-resources": "queue"}[kind]
    name = words[4]
    if of == "queue" or name == names(known)[0]:
        now = known[of][0]
        known[of] = known[of][1:] or [now]
        known[f"{of}_now"] = now
    else:
        now = known.get("node_now", "MISSING") if name in names(known) else "MISSING"
    if of == "node":
        now = known.get("node_of", {}).get(name, now)
    if now == "MISSING":
        sys.exit(f"ERROR: (gcloud.compute.tpus.{kind}.describe) NOT_FOUND: Resource was not found.")
    if of == "node":
        assert flags["format"] == "value(state,acceleratorType,networkEndpoints.len())"
        return print(now, known["type"], known["workers"], sep="\t")
    return print(now)


def create(known):
    known |= known["created"] | {"type": flags["accelerator-type"], "silent": []}
    known |= {"node_of": {}, "slices": int(flags.get("node-count", 1))}


def delete(known):
    known |= {"node": ["MISSING"], "queue": ["MISSING"]}
    known |= {"node_of": {}, "node_now": "MISSING"}


def ssh(known):
    which = flags["worker"]
    workers = workers_of(known, words[4])
    workers = workers if which == "all" else [workers[int(which)]]
    silent = known.get("silent", [])
    if known.get("silent_at_first") and flags["command"].startswith("umask"):
        silent = change(silent_at_first=known["silent_at_first"][1:])["silent_at_first"].pop(0)
    shells = [world.on_host(worker, flags["command"]) for worker in workers if worker not in silent]
    for shell in shells:
        print(shell.communicate()[0], end="")
    if silent or any(shell.returncode for shell in shells):
        sys.exit(1)


def scp(known):
    *sources, target = words[4:]
    name, folder = target.split(":")
    for worker in workers_of(known, name):
        world.copy(sources, worker, folder)


def workers_of(known, name):
    """The hosts of a node, which are counted through all nodes."""
    count = known["workers"]
    first = names(known).index(name) * count
    return range(first, first + count)


def change(**changes):
    """Changes the state, and returns it as it was."""
    with world.state() as known:
        before = dict(known)
        known |= changes
    return before


def anew(worker):
    while not (world.WORLD / "runs" / f"{worker}.jsonl").exists():
        time.sleep(0.02)
    os.kill(int((world.home(worker) / "fewvid-run" / "run.pid").read_text()), signal.SIGKILL)
    world.home(worker).rename(world.WORLD / "gone")


with world.state() as known:
    if "refuses" in known:
        sys.exit(known["refuses"])
    if verb in ("describe", "create", "delete"):
        globals()[verb](known)
if verb in ("ssh", "scp"):
    globals()[verb](known)
if flags.get("command", "").endswith(" start") and (then := known.get("after_start")):
    change(after_start="", silent=[0, 1] if then == "silent" else [])
    if then == "anew":
        anew(1)
