"""Writes N MiB that do not compress and are the same each time: content for the streams under test.

    data.py MEBIBYTES >FILE
"""

import random
import sys

source = random.Random(20)
for _ in range(int(sys.argv[1])):
    sys.stdout.buffer.write(source.randbytes(1 << 20))
