"""Makes of what relay.py kept the text that is checked in: nothing local, nothing twice, nothing random.

    distil.py TITLE WORKDIR SOCKET REGISTRY <KEPT >TEXT

One request after the other, each behind a line `===`: the head, an empty line, the body. A body that is not JSON is
the line `<stream>`, its length always given as 1024. Ids, times and ports are the same in every request, so that those
that differ in nothing else become one.
"""

import base64
import json
import re
import socket
import sys
from urllib.parse import quote

TITLE, WORK, SOCKET, REGISTRY = sys.argv[1:5]
STREAM_BYTES = 1024
RULES = [(re.escape(form(local)), form(plain))
         for local, plain in ((WORK, "/home/ci/project"), (SOCKET, "/var/run/docker.sock"), (REGISTRY, "127.0.0.1:5000"))
         for form in (str, lambda text: quote(text, safe=""), lambda text: text.encode().hex())]
# An id begins a word, also after an escaped quote.
START = r"(?:(?<=%22)|\b)"
RULES += [
    (re.escape(socket.gethostname()) + r"\b(?=:)", "host"),
    (START + r"[0-9a-f]{64}\b", "0123456789abcdef" * 4),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "01234567-89ab-4def-8123-456789abcdef"),
    (START + r"[0-9a-f]{32}\b", "0123456789abcdef" * 2),
    (r"(?i)(Traceparent: 00-\w+)-[0-9a-f]{16}-", r"\1-0123456789abcdef-"),
    (START + r"(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b", "0123456789ab"),
    (r"\b(since|until)=1[0-9]{9}(\.[0-9]+)?", r"\1=1700000000\2"),
    (r"\b(since|until)=(1700000000)\.[0-9]+", r"\1=\2.123456789"),
    (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?", "2026-01-01T00:00:00"),
    (r"(testcontainers[-_/][a-z-]*)[0-9a-f]{10,12}\b", r"\g<1>0123456789"),
]


def scrub(text):
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def credentials(header):
    """Registry credentials are JSON in base64, and may name a registry or a machine as well."""
    name, value = header[1], header[2]
    decoded = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    encoded = base64.urlsafe_b64encode(scrub(decoded).encode()).decode()
    return f"{name}: {encoded if value.endswith('=') or len(value) % 4 == 0 else encoded.rstrip('=')}"


def request(line):
    kept = json.loads(line)
    head = base64.b64decode(kept["head"]).decode()
    body = scrub(base64.b64decode(kept["body"]).decode())
    lines = []
    for header in scrub(head).removesuffix("\r\n\r\n").split("\r\n"):
        if found := re.fullmatch(r"(?i)(X-Registry-(?:Auth|Config)): *(\S+)", header):
            header = credentials(found)
        elif re.match(r"(?i)content-length:", header):
            length = len(body.encode()) if body else STREAM_BYTES if kept["bytes"] else 0
            header = f"{header.split(':')[0]}: {length}"
        lines.append(header)
    if not body and kept["bytes"]:
        body = "<stream>"
    return "\n".join(lines) + (f"\n\n{body}" if body else "")


texts = list(dict.fromkeys(request(line) for line in sys.stdin))
for text in texts:
    if "\n===\n" in text or WORK in text or "/tmp/swr" in text:
        sys.exit(f"cannot be kept as it is:\n{text}")
print(f"# What {TITLE} asked an engine for: {len(texts)} different requests, recorded by tests/recorded/record")
for text in texts:
    print(f"===\n{text}")
