#!/usr/bin/env python3
"""Runs a command in a pseudo-terminal and says, as one JSON object, what it cost.

    in_pty.py [--size 120x40] [--frame TEXT] [--settle SECONDS] [--idle SECONDS] [--keys TEXT] -- COMMAND…

bytes       that the command wrote to the terminal
wall_ms     from its start to its end
cpu_ms      processor time of the command and of all children that were waited for
own_cpu_ms  of that, the command's own, give or take 10 ms
peak_kb     the largest resident memory of any of them
exit        exit code, 128 + n by signal n

--frame TEXT   stop the clock at the end of the first frame that shows TEXT: first_frame_ms, and resident_kb of the command
               itself at that moment
--settle S     watch for S seconds before anything else is measured
--idle S       once nothing was written for a second (or after 10), watch for S seconds: idle_bytes, idle_cpu_ms (all threads)
--keys TEXT    typed after that, so that a screen that stays can be left: quit_ms, from there to the end of the command

Only the standard library is used. (This file must not be called pty.py: it would hide the module of that name.)
"""

import argparse
import fcntl
import glob
import json
import os
import pty
import select
import struct
import sys
import termios
import time

END_OF_FRAME = b"\x1b[?2026l"
TICK = 1e3 / os.sysconf("SC_CLK_TCK")


class Screen:
    """The other end of the terminal; it reads whatever comes, and counts."""

    def __init__(self, fd):
        self.fd, self.bytes, self.open = fd, 0, True

    def read(self, wait):
        """What arrives within `wait` seconds; nothing where nothing does."""
        if not self.open or not select.select([self.fd], [], [], wait)[0]:
            return b""
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # Linux says EIO where the last writer is gone.
            data = b""
        self.open = bool(data)
        self.bytes += len(data)
        return data


def cpu_ms(pid):
    """Processor time of a process, all threads, its children left out."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as stat:
            total += int(stat.read().split()[0])
    return total / 1e6


def own_and_children_ms(pid):
    """Processor time of a process that has ended, and of its children; the kernel cuts user and system time off at whole ticks."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        ticks = [int(field) for field in stat.read().rpartition(")")[2].split()[11:15]]
    return sum(ticks[:2]) * TICK, sum(ticks[2:]) * TICK


def own_ms(own, children, total):
    """What of the total, which is known exactly, is the process's own: the middle of what the ticks leave."""
    least, most = max(own, total - children - 2 * TICK), min(own + 2 * TICK, total - children)
    return round((least + most) / 2, 1)


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def first_frame(screen, text, start):
    seen, found = b"", -1
    while screen.open:
        seen += screen.read(10)
        found = seen.find(text) if found < 0 else found
        if found >= 0 and seen.find(END_OF_FRAME, found) >= 0:
            return 1e3 * (time.monotonic() - start)
    sys.exit(f"in_pty: the command ended without a frame that shows {text!r}; it wrote {seen[-2000:]!r}")


def idle(screen, pid, seconds):
    settled = time.monotonic() + 10
    while screen.open and time.monotonic() < settled and screen.read(1):
        pass
    bytes_before, cpu_before = screen.bytes, cpu_ms(pid)
    until = time.monotonic() + seconds
    while screen.open and time.monotonic() < until:
        screen.read(until - time.monotonic())
    return {"idle_bytes": screen.bytes - bytes_before, "idle_cpu_ms": round(cpu_ms(pid) - cpu_before, 2)}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--frame")
    parser.add_argument("--settle", type=float)
    parser.add_argument("--idle", type=float)
    parser.add_argument("--keys")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    columns, rows = map(int, args.size.split("x"))

    gate, opened = os.pipe()
    pid, fd = pty.fork()
    if pid == 0:
        os.close(opened)
        os.read(gate, 1)  # The terminal has its size before the command looks at it.
        os.environ["TERM"] = "xterm-256color"
        try:
            os.execvp(args.command[0], args.command)
        except OSError as error:
            sys.exit(f"in_pty: {args.command[0]}: {error.strerror}")
    os.close(gate)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    start = time.monotonic()
    os.close(opened)

    said, screen = {}, Screen(fd)
    if args.frame:
        said["first_frame_ms"] = round(first_frame(screen, args.frame.encode(), start), 1)
        said["resident_kb"] = resident_kb(pid)
    if args.settle:
        until = time.monotonic() + args.settle
        while screen.open and time.monotonic() < until:
            screen.read(until - time.monotonic())
    if args.idle:
        said |= idle(screen, pid, args.idle)
    typed = time.monotonic()
    if args.keys:
        os.write(fd, args.keys.encode())
    while screen.open:
        screen.read(60)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if args.keys:
        said["quit_ms"] = round(1e3 * (time.monotonic() - typed), 1)
    own, children = own_and_children_ms(pid)
    _, status, usage = os.wait4(pid, 0)
    total = 1e3 * (usage.ru_utime + usage.ru_stime)
    said |= {
        "bytes": screen.bytes,
        "wall_ms": round(1e3 * (time.monotonic() - start), 1),
        "cpu_ms": round(total, 1),
        "own_cpu_ms": own_ms(own, children, total),
        "peak_kb": usage.ru_maxrss,
        "exit": os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
