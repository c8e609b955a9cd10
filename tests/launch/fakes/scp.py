"""An scp into the home of a host."""

import sys

import world

world.record("scp")
arguments = sys.argv[1:]
while arguments[0].startswith("-"):
    arguments = arguments[2 if arguments[0] == "-o" else 1 :]
*sources, target = arguments
host, _, folder = target.partition(":")
world.copy(sources, host.split("@")[-1], folder)
