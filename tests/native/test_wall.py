# SPDX-License-Identifier: BSD-3-Clause
# Wall profiles of threads: known threads wait in known functions for as long as they say themselves, none
# of them is woken or interrupted, and a thousand that sleep cost next to nothing.
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
from common import UNITS, check, clean_env, files, pprof, run, share, total

gort, preload = (os.path.realpath(p) for p in sys.argv[1:3])
waits = [os.path.realpath(p) for p in sys.argv[3:6]]
TRIES = 4
imprecise = []


# What a profile by looks says only while the profiler gets its CPU in time: a test with imprecise ones is
# repeated. What must hold in any case is check's.
def measured(ok, what):
    print(("ok    " if ok else "no    ") + what, flush=True)
    if not ok:
        imprecise.append(what)


def attempt(test):
    for left in reversed(range(TRIES)):
        imprecise.clear()
        with tempfile.TemporaryDirectory() as d:
            test(d)
        if not imprecise:
            return
        if left:
            print("      again", flush=True)
    for what in imprecise:
        check(False, what)


# ms by value of a label, of what has the other label.
def by_label(f, key, *focus):
    text = pprof("-sample_index=wall", *focus, "-tags", f)
    section = re.search(r" %s: Total .*?\n(.*?)(?:\n\n|\Z)" % key, text, re.S)
    found = re.findall(r"([\d.]+)([a-z]+) \(.*?\): (.+)", section[1] if section else "")
    return {name.strip(): float(v) * UNITS[unit] for v, unit, name in found}


def near(a, b):
    return between(a, b, b)


# A look each 5 to 15 ms, each worth the time since the one before.
def between(a, low, high):
    return .9 * low - 60 <= a <= 1.1 * high + 60


def check_kinds(f, output, what):
    said = {m[0]: int(m[1]) for m in re.findall(r"(\w+) (\d+)", output)}
    check(said.pop("woken", -1) == 0, what + "no wait is interrupted or ends early")
    threads, states = by_label(f, "thread"), by_label(f, "state")
    # On a busy machine the last look may be some time before the threads' end, the same for all that end then.
    seen = sorted(threads.get(n, 0) / ms for n, ms in said.items())[len(said) // 2]
    measured(.2 < seen < 1.1, "%s%d %% of the time is seen" % (what, 100 * seen))
    for name, ms in said.items():
        got = threads.get(name, 0)
        measured(between(got, ms * seen, ms), "%s%s: %d ms, profiled %d" % (what, name, ms * seen, got))
    said = {n: ms * seen for n, ms in said.items()}
    everything, asleep = total(f, "wall"), sum(said.values()) - said["in_cpu"]
    # Of others, too, on a busy machine: those that have been woken and wait for a CPU.
    running = by_label(f, "state", "-tagfocus=thread=in_cpu").get("running", 0)
    measured(near(running, threads.get("in_cpu", 0)), "%srunning: %d ms" % (what, running))
    measured(states.get("running", 0) < 2 * said["in_cpu"], "%snot others: %d ms" % (what, states.get("running", 0)))
    for name in said:
        part = 100 * said[name] / everything
        if name == "in_nanosleep":  # main and the deep one, too
            part *= 3
        if name != "in_cpu":
            measured(share(f, "^%s$" % name, "wall") > .85 * part, "%s%s is in the stacks" % (what, name))
    measured(share(f, r"^(clone3?|__clone)$", "wall") > 95 * asleep / everything and
             share(f, "^_start$", "wall") > 90 * said["in_nanosleep"] / everything, what + "stacks reach their ends")
    for state in ("nanosleep", "poll", "select", "epoll_wait", "futex", "read"):
        measured(states.get(state, 0) > .8 * said["in_poll"], "%sstate %s: %d ms" % (what, state, states.get(state, 0)))


def test_kinds(d):
    for w in waits:
        what = os.path.basename(w)
        out = os.path.join(d, what)
        r = run([gort, "run", "-wall", "-o", out, "--", w, "kinds", "1200"])
        if check(r.returncode == 0 and len(files(out, "wall")) == 1, what + ": one file"):
            check_kinds(files(out, "wall")[0], r.stdout, what[13:] + ": ")
    deep = pprof("-sample_index=wall", "-traces", "-focus=in_deep", files(out, "wall")[0])
    check(len(re.findall(r"in_deep", deep)) == 30, "all thirty frames of variable size")


def test_alone(d):
    r = run([waits[0], "kinds", "600"], {"LD_PRELOAD": preload, "GORT_PROFILE": "wall,cpu,out=" + d})
    check_kinds(files(d, "wall")[0], r.stdout, "without a parent: ")
    check(len(files(d, "cpu")) == 1, "and a CPU profile beside it")


def test_many(d):
    r = run([gort, "run", "-wall", "-o", d, "--", waits[0], "many", "1000", "3000"])
    f = files(d, "wall")[0]
    check("woken 0\n" in r.stdout, "1000 threads sleep through: " + r.stdout.split("\n")[0])
    slept = share(f, "^sleeper$", "wall") * total(f, "wall") / 100
    measured(slept > 2.9e6 * .95, "and are seen: %d s" % (slept / 1000))
    bare = run([waits[0], "many", "1000", "3000"])
    cost = [int(re.search(r"cpu (\d+)", x.stdout)[1]) for x in (bare, r)]
    measured(cost[1] - cost[0] < 300, "three seconds of looking cost %d ms of CPU time" % (cost[1] - cost[0]))


def test_descriptors(d):
    r = run([gort, "run", "-cpu", "-wall", "-o", d, "--", waits[0], "fds", "1500"])
    check(r.stdout == "wrong 0\n", "the program's descriptors are its own: " + r.stdout.strip())


def test_fork(d):
    r = run([gort, "run", "-wall", "-o", d, "--", "sh", "-c", "(sleep .5; exit 0) & sleep 1; wait"])
    totals = sorted(total(f, "wall") for f in files(d, "wall"))
    check(r.returncode == 0 and len(totals) >= 3, "every process has a file of its own: %s" % totals)
    measured(any(near(t, 500) for t in totals) and any(near(t, 1000) for t in totals), "and its own time")


def test_http(d):
    p = subprocess.Popen([gort, "run", "-heap", "-http", "localhost:0", "-o", d, "--", waits[2], "kinds", "20000"],
                         env=clean_env(), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    m = re.search(r"http://(\S+)/debug/pprof/", p.stderr.readline())
    f = os.path.join(d, "w.pb.gz")
    time.sleep(.5)
    urllib.request.urlretrieve("http://%s/debug/pprof/wall?seconds=1" % m[1], f)
    got = by_label(f, "thread")
    p.terminate()
    p.communicate(timeout=30)
    measured(all(near(got.get(n, 0), got.get("in_poll", 1000)) for n in ("in_read", "in_sem")) and
             got.get("in_poll", 0) > 700, "wall?seconds=1 without -wall: %d ms" % got.get("in_poll", 0))
    measured(share(f, "^in_epoll$", "wall") > 6, "with stacks")


if not shutil.which("go"):
    print("skipped: no go on the path")
    sys.exit(77)
for test in (test_kinds, test_alone, test_many, test_descriptors, test_fork, test_http):
    if len(sys.argv) > 6 and test.__name__ not in sys.argv[6:]:
        continue
    t0 = time.monotonic()
    attempt(test)
    print("      %s: %.1f s" % (test.__name__, time.monotonic() - t0))
sys.exit(1 if common.failures else 0)
