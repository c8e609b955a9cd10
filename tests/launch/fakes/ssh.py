"""An ssh that runs the command with a bash of this machine, in the home of that host."""

import sys

import world

world.record("ssh")
arguments = sys.argv[1:]
while arguments[0].startswith("-"):
    arguments = arguments[2 if arguments[0] == "-o" else 1 :]
host, command = arguments
with world.state() as known:
    silent = host in known.get("silent", [])
if silent:
    sys.exit(255)
shell = world.on_host(host.split("@")[-1], command)
print(shell.communicate()[0], end="")
sys.exit(shell.returncode)
