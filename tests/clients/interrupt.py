"""Runs a client, ends it with a signal once its work runs on the engine, and waits until that work has stopped.

    interrupt.py SIGNAL MARK COMMAND…

MARK is a word in the arguments of the process that the engine runs for it. Prints how the client ended, and whether the
process was gone then or soon after.
"""

import os
import signal
import subprocess
import sys
import time

LIMIT_SECONDS = 120


def runs(mark):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                arguments = file.read()
        except OSError:  # it has ended meanwhile
            continue
        if mark in arguments and int(pid) != os.getpid():
            return True
    return False


def wait(what, condition):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {LIMIT_SECONDS} s: {what}")
        time.sleep(0.05)


def main():
    name, mark, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3:]
    client = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait("the step runs", lambda: runs(mark) or client.poll() is not None)
        if client.poll() is not None:
            sys.exit(f"the client ended by itself with {client.returncode}")
        client.send_signal(getattr(signal, name))
        wait("the client ends", lambda: client.poll() is not None)
        wait("the step stops", lambda: not runs(mark))
    finally:
        client.kill()
    print(f"the client ended with {client.returncode} and the step stopped")


main()
