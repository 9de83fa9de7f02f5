"""Runs a command on a terminal of its own, as a person would: waits for a prompt, then types.

    terminal.py [PROMPT ANSWER]… -- COMMAND…

Everything the terminal showed goes to standard output, the command's exit code is ours. Typing only
after the prompt makes what is echoed the same in every run. `ctrl-p ctrl-q` and the like are written
as escapes in the answer: `\\x10\\x11`.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

LIMIT_SECONDS = 240
ROWS, COLUMNS = 33, 101


def main():
    split = sys.argv.index("--")
    talk, command = sys.argv[1:split], sys.argv[split + 1 :]
    child, terminal = pty.fork()
    if child == 0:
        # Wait for the window size: a client asks for it as soon as it runs.
        sys.stdin.read(1)
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    os.write(terminal, b"\n")
    deadline = time.monotonic() + LIMIT_SECONDS
    seen, answered = b"", 0
    while True:
        while talk and talk[0].encode() in seen[answered:]:
            answered = seen.index(talk[0].encode(), answered) + len(talk[0].encode())
            os.write(terminal, talk[1].encode().decode("unicode_escape").encode("latin-1"))
            talk = talk[2:]
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            sys.stdout.write(seen.decode(errors="replace"))
            print(f"\nterminal.py: no end within {LIMIT_SECONDS} s, waiting for {talk[:1]}")
            os.kill(child, 9)
            sys.exit(124)
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the terminal's way to say that the other side has gone
            data = b""
        if not data:
            break
        seen += data
    sys.stdout.write(seen.decode(errors="replace"))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
