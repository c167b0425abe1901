# SPDX-License-Identifier: BSD-3-Clause
# CPU profiles of a plain pthread program, judged by `go tool pprof`: totals against the CPU time the
# program burnt, names, inlined frames, whole stacks, and what happens when things are missing.
import os
import re
import shutil
import subprocess
import sys
import tempfile

program = os.path.realpath(sys.argv[1])
failures = 0


def check(ok, what):
    global failures
    print(("ok    " if ok else "FAIL  ") + what)
    failures += not ok


def run(args, env=None):
    e = {k: v for k, v in os.environ.items() if not k.startswith("GORT_")}
    e.update(env or {})
    return subprocess.run([program] + args, env=e, capture_output=True, text=True, timeout=60)


def pprof(*args):
    out = subprocess.run(["go", "tool", "pprof", *args], capture_output=True, text=True, timeout=60)
    return out.stdout + out.stderr


def seconds(text):
    m = re.search(r"Total samples = ([\d.]+)(ms|s)", text)
    return float(m[1]) / (1000 if m[2] == "ms" else 1) if m else 0


def cumulative(text, name):
    m = re.search(r"([\d.]+)% +" + re.escape(name) + r"(?: \(inline\))?$", text, re.M)
    return float(m[1]) if m else 0


def test_totals(d):
    for hz in (0, 100, 1000):
        f = os.path.join(d, "cpu%d.pb.gz" % hz)
        r = run(["400", f, str(hz)])
        check(r.returncode == 0 and r.stdout == "done\n", "%d Hz: the program's work is untouched" % hz)
        top = pprof("-top", f)
        total = seconds(top)
        check(1.12 <= total <= 1.28, "%d Hz: 1.2 s of CPU time, profiled %.3f s" % (hz, total))
        check(cumulative(top, "worker") > 98, "%d Hz: whole stacks down to worker" % hz)
        check("inlined_step (inline)" in top, "%d Hz: the inlined function is named" % hz)


def test_raw(d):
    f = os.path.join(d, "env.pb.gz")
    r = run(["300"], {"GORT_CPUPROFILE": f})
    check(r.returncode == 0, "GORT_CPUPROFILE: exit status")
    raw = pprof("-raw", f)
    check("samples/count cpu/nanoseconds" in raw, "sample types in Go's order")
    check("Period: 10000000" in raw, "period of 100 Hz")
    check(re.search(r"inlined_step .*native\.c:\d+.*\n +hot_leaf .*native\.c:\d+", raw) is not None,
          "an inlined frame inside its caller, both with file and line")
    check(re.search(r"1: 0x.*%s [0-9a-f]{40} \[FN\]\[FL\]\[LN\]\[IN\]" % re.escape(program), raw)
          is not None, "the program is the first mapping, with build id, symbolized")
    check(re.search(r"M=1 worker .*native\.c:\d+:\d+ s=[1-9]", raw) is not None, "start lines")


def test_missing(d):
    f = os.path.join(d, "nohelper.pb.gz")
    run(["200", f], {"GORT_SYMBOLIZER": "/nonexistent/helper"})
    raw = pprof("-raw", f)
    check("hot_leaf" in raw and "worker" in raw, "without the helper: symbol-table names")
    check("Comment: gort: symbol-table names only" in raw, "and a comment that says why")
    f = os.path.join(d, "failing.pb.gz")
    run(["200", f], {"GORT_SYMBOLIZER": "/bin/false"})
    check("hot_leaf" in pprof("-raw", f), "with a helper that fails: symbol-table names")
    f = os.path.join(d, "none.pb.gz")
    run(["200", f], {"GORT_SYMBOLIZE": "none"})
    raw = pprof("-raw", "-symbolize=none", f)
    check("[FN]" not in raw and "samples/count" in raw, "GORT_SYMBOLIZE=none: addresses only")
    r = run(["10"], {"GORT_CPUPROFILE": "/nonexistent/cpu.pb.gz"})
    check(r.returncode == 0 and r.stdout == "done\n" and r.stderr.count("\n") == 1 and
          "GORT_CPUPROFILE=/nonexistent/cpu.pb.gz" in r.stderr, "an unwritable path costs one line")
    r = run(["10"], {"GORT_MEMPROFILE": os.path.join(d, "m.pb.gz")})
    check(r.returncode == 0 and r.stderr.count("\n") == 1, "no runtime, no heap profile: one line")


def test_pid(d):
    run(["50"], {"GORT_CPUPROFILE": os.path.join(d, "p.%p.pb.gz")})
    check(any(re.fullmatch(r"p\.\d+\.pb\.gz", n) for n in os.listdir(d)), "%p is the process id")


if not shutil.which("go"):
    print("skipped: no go on the path")
    sys.exit(77)
with tempfile.TemporaryDirectory() as d:
    test_totals(d)
    test_raw(d)
    test_missing(d)
    test_pid(d)
sys.exit(1 if failures else 0)
