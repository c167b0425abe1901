#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# What profiling costs an unmodified program: each row bare and profiled in turn, the least of the runs of
# each. Also gperftools' heap profiler where libtcmalloc is installed.
#   bench/native/speed.py BUILD_FOLDER [RUNS]
import glob
import os
import re
import subprocess
import sys
import tempfile

build = os.path.realpath(sys.argv[1])
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
here = os.path.dirname(os.path.realpath(__file__))
preload = os.path.join(build, "profiler/preload/libgort-preload.so")
tcmalloc = (glob.glob("/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4") + [None])[0]
base = {k: v for k, v in os.environ.items() if not k.startswith("GORT_") and k != "LD_PRELOAD"}


def once(args, env):
    out = subprocess.run(args, env={**base, **env}, capture_output=True, text=True, timeout=120)
    return float(out.stdout or "nan")


def interleaved(args, envs):
    best = [float("inf")] * len(envs)
    for _ in range(runs):
        for i, env in enumerate(envs):
            best[i] = min(best[i], once(args, env))
    return best


def profiled(d, what):
    return {"LD_PRELOAD": preload, "GORT_PROFILE": what + ",out=" + d}


def row(what, bare, with_it, how):
    print("%-46s %10.2f %10.2f   %s" % (what, bare, with_it, how), flush=True)


with tempfile.TemporaryDirectory() as d:
    speed, throw = os.path.join(d, "speed"), os.path.join(d, "throw")
    subprocess.run(["cc", "-O2", "-g", "-pthread", "-o", speed, os.path.join(here, "speed.c")], check=True)
    print("%-46s %10s %10s" % ("ns an operation", "bare", "profiled"))
    for name, text in (("pair", "malloc(64) and free, heap profile"), ("mixed", "malloc and free, 10,000 live, mixed sizes")):
        a, b = interleaved([speed, name], [{}, profiled(d, "heap")])
        row(text, a, b, "+%.1f ns" % (b - a))
    if tcmalloc:
        a, b = interleaved([speed, "few"], [{"LD_PRELOAD": tcmalloc},
                                             {"LD_PRELOAD": tcmalloc, "HEAPPROFILE": os.path.join(d, "gp")}])
        row("  the same under gperftools' heap profiler", a, b, "+%.0f ns" % (b - a))
    a, b = interleaved([speed, "mutex"], [{}, profiled(d, "block,mutex")])
    row("pthread mutex, uncontended, block and mutex", a, b, "+%.1f ns" % (b - a))
    a, b = interleaved([speed, "mutex"], [{}, profiled(d, "heap")])
    row("  the same, heap profile only", a, b, "+%.1f ns" % (b - a))
    for what in ("heap", "block,mutex", "cpu"):
        a, b = interleaved([speed, "mutex1"], [{}, profiled(d, what)])
        row("  a program of one thread, %s" % what, a, b, "+%.1f ns" % (b - a))
    if subprocess.run(["c++", "-O2", "-o", throw, os.path.join(here, "throw.cc")]).returncode == 0:
        a, b = interleaved([throw], [{}, profiled(d, "cpu,heap,block,mutex")])
        row("C++ throw and catch through 10 frames", a, b, "%.3fx" % (b / a))
    a, b, c = interleaved([speed, "work"], [{}, profiled(d, "cpu"), profiled(d, "cpu,rate=1000")])
    row("computing, 100 Hz", a, b, "%+.2f %%" % (100 * (b / a - 1)))
    row("computing, 1000 Hz", a, c, "%+.2f %%" % (100 * (c / a - 1)))
    for hz in (100, 1000):
        e = os.path.join(d, str(hz))
        os.mkdir(e)
        subprocess.run([speed, "work8"], env={**base, **profiled(e, "cpu,rate=%d" % hz)}, stdout=subprocess.DEVNULL)
        f = glob.glob(e + "/*.cpu.pb.gz")[0]
        text = subprocess.run(["go", "tool", "pprof", "-top", f], capture_output=True, text=True).stdout
        m = re.search(r"Total samples = ([\d.]+)s", text)
        if not m:
            sys.exit("no total in %s:\n%s" % (f, text))
        row("8 threads, 4 s of CPU time, samples at %d Hz" % hz, 4, float(m[1]), "%.1f %%" % (100 * float(m[1]) / 4))
        text = subprocess.run(["go", "tool", "pprof", "-tags", f], capture_output=True, text=True).stdout
        each = sorted(float(v) * (1 if unit == "ms" else 1000) for v, unit in re.findall(r"([\d.]+)(m?s) \(.*\): w\d", text))
        print("    each of %d threads, 500 ms: %.0f to %.0f ms" % (len(each), each[0], each[-1]))
