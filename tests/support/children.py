"""Processes that misbehave, each in its own way, at the other end of a pipe."""

import os
import signal
import time
from multiprocessing.connection import Connection

FOR_EVER_S = 60.0  # nobody waits so long; and nothing is left when a test fails


def answers(connection: Connection, *arguments: object) -> None:
    """Say what it was started with; give back what it is told, until that is "end"."""
    connection.send(arguments)
    while (message := connection.recv()) != "end":
        connection.send(message)


def hangs(connection: Connection) -> None:
    """Say that it is there, and nothing more; it neither reads nor heeds a signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    connection.send("there")
    time.sleep(FOR_EVER_S)


def dies(connection: Connection) -> None:
    """Say two things and die."""
    connection.send("one")
    connection.send("two")
    os._exit(3)


def floods(connection: Connection) -> None:
    """Count aloud, as fast as it can."""
    number = 0
    while True:
        connection.send(number)
        number += 1


def leaves_somebody(connection: Connection) -> None:
    """Leave the pipe to another process, which no signal to this one reaches."""
    pid = os.fork()
    if pid == 0:
        time.sleep(FOR_EVER_S)
        os._exit(0)
    connection.send(pid)
    time.sleep(FOR_EVER_S)
