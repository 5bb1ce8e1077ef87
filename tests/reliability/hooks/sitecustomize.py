"""Faults for tests: read by every Python process of a run whose PYTHONPATH names this folder.

MITDS_TEST_FAULTS is a JSON object:
    root: only files below this folder count.
    changes: file with one line for each change of the file system (fsync, rename), over all processes and runs.
    die_at: at this change the whole run dies, as in a power cut: before it is made.
    die_on: the same, at the first change whose line has this text.
    full_at: from this change on, the disk is full.
    clock_s: the wall clock is off by so many seconds, and jumps as far again with every 50th question.
"""

import errno
import itertools
import json
import os
import time

FAULTS = json.loads(os.environ.get("MITDS_TEST_FAULTS", "{}"))
os.environ.setdefault("MITDS_TEST_DRIVER", str(os.getpid()))


def _count(line):
    """Write a change down and return its number, unique over all processes."""
    file = os.open(FAULTS["changes"], os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, line.encode(errors="replace")[:198].replace(b"\n", b" ").ljust(199) + b"\n")
        return os.lseek(file, 0, os.SEEK_CUR) // 200
    finally:
        os.close(file)


def _before(verb, path):
    if not path.startswith(FAULTS["root"]):
        return
    line = f"{os.getpid()} {verb} {path[len(FAULTS['root']) :]}"
    number = _count(line)
    if number == FAULTS.get("die_at") or FAULTS.get("die_on", "\0") in line:
        from tests.reliability.processes import kill, tree

        kill(tree(int(os.environ["MITDS_TEST_DRIVER"])))
    if number >= FAULTS.get("full_at", number + 1):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _hook_changes():
    fsync, replace = os.fsync, os.replace

    def hooked_fsync(file):
        number = file if isinstance(file, int) else file.fileno()
        _before(f"fsync {os.fstat(number).st_size}", os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        fsync(file)

    def hooked_replace(source, target, **options):
        _before("replace", os.path.abspath(os.fspath(target)))  # noqa: PTH100
        replace(source, target, **options)

    os.fsync, os.replace = hooked_fsync, hooked_replace


def _hook_clock():
    now, asked = time.time, itertools.count()
    time.time = lambda: now() + FAULTS["clock_s"] * (1 + next(asked) // 50)


if "changes" in FAULTS:
    _hook_changes()
if "clock_s" in FAULTS:
    _hook_clock()
