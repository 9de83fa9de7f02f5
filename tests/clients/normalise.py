"""Makes the transcripts of two equal runs equal, and keeps everything else different.

Replaced is only what the engine or the operating system picks anew for each run. Checksums of
content stay: `sha256sum` prints 64 digits and two spaces, and no id is printed that way.

    normalise.py SOCKET REGISTRY WORKDIR <TRANSCRIPT
"""

import re
import sys

# The end of a line, also in a text that Python shows
END = r"(?:\n|\\n)"


def rules(socket, registry, work):
    return [
        (re.escape(registry), "REGISTRY"),
        (re.escape(registry.replace(":", "%3A")), "REGISTRY"),
        (re.escape(socket), "SOCKET"),
        (re.escape(work), "WORK"),
        # Compose moves the cursor even on a pipe, and aligns with what it happens to show together
        (r"\x1b\[[0-9;]*[A-Za-z]", ""),
        (r" +\| ", " | "),
        # progress that overwrites itself: only the last state of a line counts
        (r"(?m)^((?:out\| |err\| )?)[^\n]*\r(?=[^\r\n])", r"\1"),
        (r"\r+(?=\n|$)", ""),
        # docker 20.10 says this or not when a container never started, whichever of two requests ends first
        (r'(?m)^err\| time="[^"]*" level=error msg="error waiting for container: context canceled"\n', ""),
        # sockwarden hands on the id of what was judged, so the engine's errors speak of that, not of the name
        (r"(?m)^(err\| Error response from daemon: .*?)\bswj-[\w-]+", r"\1ID"),
        # what is built through sockwarden carries its owner: the classic builder shows a label as a step, and counts it
        (rf"(?:out\| )?Step \d+/\d+ : LABEL sockwarden\.[^\n\\]*{END}(?:(?:out\| )?(?: ---> |Removing )[^\n\\]*{END})*", ""),
        (r"(Step \d+)/\d+ : ", r"\1 : "),
        (r" ?\bsockwarden\.(?:owner|listener):[^ \]]+", ""),
        # a tiny context is sent compressed, and times in it compress to a byte more or less
        (r"(Sending build context to Docker daemon +)\d{3}B", r"\1SIZE"),
        # BuildKit's own names for a context that it was sent, and for where it has it
        (r"\bref [0-9a-f-]+::\w+", "ref ID"),
        (r"/buildkit-mount\d+\b", "/buildkit-mountN"),
        (r"\b[0-9a-f]{64}\b(?!  )", "ID"),
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| ?[+-]\d\d:?\d\d(?: [A-Z]{3,4})?)?", "TIME"),
        (r"\b(?:About a minute|Less than a second|\d+ (?:second|minute|hour|day|week|month)s?) ago\b", "AGO"),
        (r"\b127\.0\.0\.1:\d{5}\b", "127.0.0.1:PORT"),
        (r"\b(?:172|192|10)\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r" +\n", "\n"),
        # and each such step is a layer, which `docker rmi` tells
        (r"(?m)^((?:out\| )?Deleted: (?:sha256:)?ID\n)+", r"\1"),
    ]


def normalise(text, socket, registry, work):
    for pattern, replacement in rules(socket, registry, work):
        text = re.sub(pattern, replacement, text)
    return text


if __name__ == "__main__":
    received = sys.stdin.buffer.read().decode("utf-8", "backslashreplace")
    sys.stdout.write(normalise(received, *sys.argv[1:4]))
