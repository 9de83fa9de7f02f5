"""Stands between a client and an engine, passes every byte on, and keeps what the client asked.

    relay.py ENGINE_SOCKET LISTEN_SOCKET KEPT

Requests are appended to KEPT, one JSON document a line: the head as it came, the body without its chunks if it is
JSON, else only its length. After a request that wants to leave HTTP nothing more is kept of its connection: what
follows is a stream.
"""

import base64
import json
import re
import socket
import sys
import threading

ENGINE, LISTEN, KEPT = sys.argv[1:4]
LARGEST_JSON = 1 << 20
kept = open(KEPT, "a")
lock = threading.Lock()


class Reader:
    """Bytes of one connection on their way to the engine, as they are read."""

    def __init__(self, client, engine):
        self.client, self.engine, self.left = client, engine, b""

    def more(self):
        data = self.client.recv(1 << 16)
        if not data:
            raise EOFError
        self.engine.sendall(data)
        self.left += data

    def until(self, mark):
        while mark not in self.left:
            self.more()
        end = self.left.index(mark) + len(mark)
        taken, self.left = self.left[:end], self.left[end:]
        return taken

    def take(self, length, into):
        """Takes `length` bytes; keeps them in `into` as far as that may grow."""
        while length:
            if not self.left:
                self.more()
            piece, self.left = self.left[:length], self.left[length:]
            length -= len(piece)
            if len(into) < LARGEST_JSON:
                into += piece


def body(reader, head):
    found, total = bytearray(), 0
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked\r\n", head):
        while size := int(reader.until(b"\r\n").split(b";")[0], 16):
            reader.take(size, found)
            reader.until(b"\r\n")
            total += size
        while reader.until(b"\r\n") != b"\r\n":
            pass
    elif length := re.search(rb"(?i)\r\ncontent-length: *(\d+)\r\n", head):
        total = int(length[1])
        reader.take(total, found)
    return bytes(found), total


def requests(reader):
    while True:
        head = reader.until(b"\r\n\r\n")
        found, total = body(reader, head)
        try:
            json.loads(found or b"null")
        except ValueError:
            found = b""
        line = {"head": base64.b64encode(head).decode(), "body": base64.b64encode(found).decode(), "bytes": total}
        with lock:
            print(json.dumps(line), file=kept, flush=True)
        if re.search(rb"(?i)\r\nupgrade:", head):
            return


def back(engine, client):
    try:
        while data := engine.recv(1 << 16):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        client.close()


def serve(client):
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(ENGINE)
    threading.Thread(target=back, args=(engine, client), daemon=True).start()
    try:
        requests(Reader(client, engine))
        while data := client.recv(1 << 16):
            engine.sendall(data)
    except (EOFError, OSError):
        pass
    try:
        engine.shutdown(socket.SHUT_WR)
    except OSError:
        pass


server = socket.socket(socket.AF_UNIX)
server.bind(LISTEN)
server.listen(128)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
