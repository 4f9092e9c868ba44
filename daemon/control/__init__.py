"""How others command the daemon, over ZeroMQ and JSON.

`commands` is the table of what can be asked, `requests` and `replies` read and write bytes by it,
`sockets` owns ZeroMQ for both sides, `server` is the thread; `osc_messages` says the same in the
words of OSC, `command_line` and `printing` are what `daemon.ctl` takes and prints. Clients and the
core import the first four; the stage starts the server.
"""
