"""Makes what equal builds show equal: BuildKit works on several steps at once and tells of each as it goes.

Steps are put in the order of their names, each with its output in full and how it ended. Left out is what depends on
speed and on what the engine had already: times, sizes on the way, how a base image came, and that internal steps are done. Of a build that failed only
the steps that failed are shown, as what else had begun by then is chance. Of many builds at once (`bake`) it is chance which
of them a step that they have in common is named after, so there only what steps wrote and the names that were given count.

    progress.py [failed|many] <OUTPUT OF --progress=plain
"""

import re
import sys

STEP = re.compile(r"#(\d+) (.*)")
TIME = re.compile(r"(\d+\.\d+) (.*)")
ENDED = re.compile(r"(DONE|CACHED|CANCELED|ERROR)\b:? ?(.*)")
# Of what a step says of itself: how far it is
FAR = re.compile(r":?(?: +[\d.]+[kMGT]?B(?: / [\d.]+[kMGT]?B)?)?(?: +[\d.]+m?s)?(?: +done)?$")
MOVED = re.compile(r"sha256:|extracting |resolve |transferring |pushing layer |\.\.\.$")
INTERNAL = re.compile(r"\[internal\] ")
# A base image is fetched by the first who asks for it, and goes by the name that this one gave it.
BASE = re.compile(r"(?:\[.*\] )?(?:FROM|docker-image://)")


class Step:
    def __init__(self, name):
        self.name, self.lines, self.output, self.end = name, [], [], []

    def add(self, text):
        if ended := ENDED.fullmatch(text):
            self.end = [f"  {ended[1]}"] if ended[1] != "ERROR" else [f"  ERROR {ended[2]}"]
            # Of what a frontend does for itself the end is not always told in time.
            if INTERNAL.match(self.name) and not self.failed():
                self.end = []
        elif said := TIME.fullmatch(text):
            self.lines.append("  " + said[2])
            self.output.append("  " + said[2])
        elif text != self.name and not MOVED.match(text):
            line = "  " + FAR.sub("", text)
            if line not in self.lines:
                self.lines.append(line)

    def failed(self):
        return any(end.startswith("  ERROR") for end in self.end)

    def shown(self):
        # Ids are replaced afterwards and must not decide the order.
        return [re.sub(r"[0-9a-f]{64}", "ID", line) for line in (self.name, *self.lines, *self.end)]


def one(steps):
    failed = sys.argv[1:] == ["failed"]
    return sorted(step.shown() for step in steps if step.failed() or not failed and not BASE.match(step.name))


def many(steps):
    named = [[line] for step in steps for line in step.lines if line.startswith("  naming to ")]
    return sorted(named) + sorted(step.output for step in steps if step.output)


def main():
    steps, rest = {}, []
    for line in sys.stdin.buffer.read().decode("utf-8", "backslashreplace").splitlines():
        match = STEP.fullmatch(line)
        if match and match[1] == "0":
            rest.append(match[2])
        elif match and match[1] in steps:
            steps[match[1]].add(match[2])
        elif match:
            steps[match[1]] = Step(match[2])
        elif line.strip():
            # The end of a failed step's output is told again.
            rest.append(TIME.sub(r"\2", line))
    for shown in (many if sys.argv[1:] == ["many"] else one)(list(steps.values())):
        print("\n".join(shown))
    print("\n".join(rest))


main()
