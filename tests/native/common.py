# SPDX-License-Identifier: BSD-3-Clause
# Shared by the tests of unmodified programs: running them under gort run, reading what came out.
import glob
import os
import re
import subprocess

failures = 0


def check(ok, what):
    global failures
    print(("ok    " if ok else "FAIL  ") + what, flush=True)
    failures += not ok
    return ok


def clean_env(extra=None):
    e = {k: v for k, v in os.environ.items()
         if not k.startswith("GORT_") and k not in ("LD_PRELOAD", "CPUPROFILE", "HEAPPROFILE")}
    e.update(extra or {})
    return e


def run(args, env=None, timeout=60, **kw):
    kw.setdefault("capture_output", True)
    return subprocess.run(args, env=clean_env(env), text=True, timeout=timeout, **kw)


def pprof(*args):
    out = subprocess.run(["go", "tool", "pprof", *args], capture_output=True, text=True, timeout=60)
    return out.stdout + out.stderr


def files(folder, kind):
    return sorted(glob.glob(os.path.join(glob.escape(folder), "*.%s.pb.gz" % kind)))


UNITS = {"B": 1 / 1024, "kB": 1, "MB": 1024, "GB": 1 << 20, "ms": 1, "s": 1000, "us": .001, "mins": 60000, "": 1}


# The total of one sample type: ms of CPU or of delay, kB of memory, or a number.
def total(path, index):
    text = pprof("-sample_index=" + index, "-top", "-nodecount=1", path)
    m = re.search(r"accounting for .*? of ([\d.]+)([a-zA-Z]*) total", text)
    return float(m[1]) * UNITS[m[2]] if m else 0


# Share in per cent of the total that functions matching name stand in the stacks of.
def share(path, name, index=None):
    args = ["-sample_index=" + index] if index else []
    text = pprof(*args, "-top", "-cum", "-nodefraction=0", "-nodecount=500", path)
    best = 0
    for line in text.splitlines():
        m = re.match(r" *\S+ +\S+ +\S+ +\S+ +([\d.]+)% +(.*?)(?: \(inline\))?$", line)
        if m and re.search(name, m[2]):
            best = max(best, float(m[1]))
    return best
