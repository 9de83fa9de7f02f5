"""A stand-in for sockwarden that judges nothing, to test the comparison itself: it must pass with a
faithful relay, and must fail with one that does a single thing wrong.

    relay.py serve --engine unix://SOCKET --listen PATH --policy NAME --audit FILE

FAULT   faithful (default), or what goes wrong: refuse (volumes), corrupt (one byte of a long
        answer), deaf (never passes on that one side has closed), unrecorded
"""

import argparse
import os
import signal
import socket
import threading

FAULT = os.environ.get("FAULT", "faithful")
LONG = 1 << 20
REFUSAL = b'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 34\r\n\r\n{"message":"refused by the relay"}'


def pump(source, target, refuse=False, corrupt=False):
    passed = 0
    try:
        while data := source.recv(1 << 16):
            if refuse and b"POST /v" in data and b"/volumes/create" in data:
                source.sendall(REFUSAL)
                source.shutdown(socket.SHUT_RDWR)
                break
            passed += len(data)
            if corrupt and passed > LONG:
                data, corrupt = bytes([data[0] ^ 1]) + data[1:], False
            target.sendall(data)
        if FAULT != "deaf":
            target.shutdown(socket.SHUT_WR)
    except OSError:  # one side has gone: the other one must hear of it
        target.close()


def relay(client, engine_path, audit):
    if FAULT != "unrecorded":
        audit.write("a connection\n")
        audit.flush()
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(engine_path)
    upward = threading.Thread(target=pump, args=(client, engine, FAULT == "refuse"), daemon=True)
    upward.start()
    pump(engine, client, corrupt=FAULT == "corrupt")
    upward.join()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("serve")
    for name in ("--engine", "--listen", "--policy", "--audit"):
        arguments.add_argument(name, required=True)
    given = arguments.parse_args()
    audit = open(given.audit, "a")
    server = socket.socket(socket.AF_UNIX)
    server.bind(given.listen)
    server.listen(128)

    def end(*_):
        os.unlink(given.listen)
        os._exit(0)  # streams that are still open end with us

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        threading.Thread(target=relay, args=(client, given.engine.removeprefix("unix://"), audit), daemon=True).start()


main()
