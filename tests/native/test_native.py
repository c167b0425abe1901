# SPDX-License-Identifier: BSD-3-Clause
# gort run and libgort-preload.so on a program that does to profilers what programs do: its results are
# the same, and the profiles say what it did.
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
from common import check, clean_env, files, pprof, run, share, total

paths = [os.path.realpath(p) for p in sys.argv[1:] if not p.startswith("test_")]
gort, preload, target, plugin = paths[:4]
asan = paths[4] if len(paths) > 4 else None
only_these = [p for p in sys.argv[1:] if p.startswith("test_")]


def gort_run(d, options, *args, **kw):
    return run([gort, "run", *options, "-o", d, "--", target, *args], **kw)


def only(d, kind):
    found = files(d, kind)
    return found[0] if len(found) == 1 else ""


def test_cpu(d):
    r = gort_run(d, ["-cpu"], "threads")
    f = only(d, "cpu")
    t = total(f, "cpu")
    check(r.returncode == 0 and r.stdout == "threads\n", "threads: results untouched")
    check(570 <= t <= 640, "600 ms of CPU time, profiled %d ms" % t)
    tags = pprof("-tags", f)
    first, second = (re.search(r"([\d.]+)(m?s) \(.*?\): %s\n" % n, tags) for n in ("first", "second"))
    check(first and second, "thread names are labels")
    if first and second:
        a, b = (float(m[1]) * (1000 if m[2] == "s" else 1) for m in (first, second))
        check(1.6 < a / b < 2.4, "and each has its time: %d and %d ms" % (a, b))
    check(share(f, r"^burn$") > 95, "whole stacks")
    check(re.search(r"gort: .*exited with 0 after .* 0\.\d+ s sampled; 1 file of 1 process", r.stderr) is not None,
          "one line sums up")
    check("go tool pprof " + f in r.stderr, "and another says how to open the file")


def test_rate(d):
    gort_run(d, ["-cpu", "-rate", "1000"], "burn", "400")
    t = total(only(d, "cpu"), "cpu")
    check(384 <= t <= 420, "1000 Hz: 400 ms of CPU time, profiled %d ms" % t)


def test_heap(d):
    r = gort_run(d, ["-heap"], "heap")
    f = only(d, "heap")
    truth = int(r.stdout or 0) / 1024
    inuse, allocs = total(f, "inuse_space"), total(f, "alloc_space")
    check(r.returncode == 0 and truth > 30000, "heap: results untouched")
    # 41 MB at one sample in 512 KiB; 16 of them in small blocks: the standard deviation is 2.9 MB.
    check(abs(inuse - truth) < .25 * truth, "in use: %d kB, malloc says %d kB" % (inuse, truth))
    made = (21 * 8192 * 4016 + (24 << 20)) / 1024
    check(abs(allocs - made) < .15 * made, "allocated: %d kB of %d kB" % (allocs, made))
    check(share(f, r"^allocate_dropped$", "inuse_space") == 0, "what was freed is not in use")
    check(share(f, r"^allocate_dropped$", "alloc_space") > 60, "but was allocated")
    d2 = os.path.join(d, "all")
    r = run([target, "heap"], {"LD_PRELOAD": preload, "GORT_PROFILE": "heap,memrate=1,out=" + d})
    f = [x for x in files(d, "heap") if x != f][0]
    truth, inuse = int(r.stdout or 0) / 1024, total(f, "inuse_space")
    check(abs(inuse - truth) < .02 * truth, "memrate=1: %d kB, malloc says %d kB" % (inuse, truth))


def test_locks(d):
    r = gort_run(d, ["-block", "-mutex", "-threadcreate"], "locks")
    block, mutex = only(d, "block"), only(d, "mutex")
    check(r.returncode == 0 and r.stdout.startswith("100 "), "locks: results untouched")
    held, waited = total(mutex, "delay"), int((r.stdout.split() or [0])[-1])
    check(abs(held - waited) < .1 * waited + 20, "mutex: %d ms of others' waiting, they say %d ms" % (held, waited))
    check(share(mutex, r"^hold_lock$", "delay") > 40, "mutex: blamed on who unlocked")
    for name in ("hold_lock", "waiter", "contender", "locks"):
        check(share(block, "^%s$" % name, "delay") > 3, "block: %s waited" % name)
    top = pprof("-top", "-nodefraction=0", block)
    for name in ("pthread_mutex_lock", "pthread_cond_wait", "pthread_rwlock_rdlock", "sem_wait", "pthread_join"):
        check(re.search(r" %s$" % name, top, re.M), "block: " + name)
    check(total(only(d, "threadcreate"), "threadcreate") == 5, "five threads were created")


def test_processes(d):
    r = gort_run(d, ["-cpu"], "forks")
    times = sorted(total(f, "cpu") for f in files(d, "cpu"))
    check(r.stdout == "forked 5 3\n" and r.returncode == 0, "fork: children and their statuses are the program's own")
    check(len(times) == 2 and 130 <= times[0] <= 180 and 230 <= times[1] <= 290,
          "fork: each process has a file of its own: %s ms" % times)
    e = os.path.join(d, "exec")
    r = gort_run(e, ["-cpu"], "execs")
    times = sorted(total(f, "cpu") for f in files(e, "cpu"))
    check(r.stdout == "burnt\n" and len(times) == 2 and times[0] >= 130 and times[1] >= 180,
          "exec: before and after: %s ms" % times)
    e = os.path.join(d, "kill")
    r = gort_run(e, ["-cpu"], "kill", "300")
    t = total(only(e, "cpu"), "cpu")
    check(r.returncode == -signal.SIGKILL and "killed by SIGKILL" in r.stderr, "kill: gort dies alike")
    check(270 <= t <= 330, "kill: the profile is there all the same: %d ms" % t)
    e = os.path.join(d, "many")
    loop = "i=0; while [ $i -lt 20 ]; do (a=0; while [ $a -lt 20000 ]; do a=$((a+1)); done) & echo $!; i=$((i+1)); done; wait"
    r = run([gort, "run", "-q", "-cpu", "-rate", "1000", "-o", e, "--", "sh", "-c", loop], timeout=120)
    children = set(r.stdout.split())
    have = {f.split(".")[-4] for f in files(e, "cpu")} # the shell itself may have used too little CPU time
    check(len(children) == 20 and children <= have, "twenty children at once: all but %s" % (children - have))
    e = os.path.join(d, "daemon")
    r = gort_run(e, ["-cpu"], "daemon", capture_output=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        if any(total(f, "cpu") > 250 for f in files(e, "cpu")):
            break
        time.sleep(.1)
    check(r.returncode == 0 and any(250 < total(f, "cpu") < 340 for f in files(e, "cpu")),
          "daemon: gort comes back at once, the daemon's file follows")


def test_signals(d):
    r = gort_run(d, ["-cpu"], "own-sigprof")
    check(r.stdout == "own handler\n" and r.returncode == 0, "own SIGPROF handler: the program gets its signals")
    check("the program has its own SIGPROF handler" in r.stderr, "and the user is told")
    t = total(only(d, "cpu"), "cpu")
    check(150 <= t <= 260, "and what was before is in the profile: %d ms" % t)
    e = os.path.join(d, "reset")
    r = gort_run(e, ["-cpu"], "reset-signals")
    t = total(only(e, "cpu"), "cpu")
    check(r.stdout == "reset\n" and 370 <= t <= 430, "all signals reset and blocked: profiled %d of 400 ms" % t)
    r = gort_run(os.path.join(d, "eintr"), ["-cpu", "-rate", "1000"], "no-eintr")
    check(r.stdout == "0 interrupted\n", "poll, select and nanosleep do not notice: " + r.stdout.strip())
    p = subprocess.Popen([gort, "run", "-o", d, "--", target, "wait"], env=clean_env(), text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    p.send_signal(signal.SIGTERM)
    check(p.wait(20) == -signal.SIGTERM, "SIGTERM sent to gort ends the program, and gort with it")


def test_host(d):
    if os.geteuid() == 0:
        r = gort_run(d, ["-cpu", "-heap"], "privileges")
        check(r.returncode == 0 and r.stdout == "now 65534\n", "privileges given up: " + r.stdout.strip())
        check(total(only(d, "cpu"), "cpu") >= 150, "and it is profiled behind that")
    e = os.path.join(d, "plugin")
    r = gort_run(e, ["-cpu"], "plugin", plugin)
    f = only(e, "cpu")
    check(r.stdout == "plugin\n" and r.returncode == 0, "dlopen and dlclose: results untouched")
    check(share(f, r"^plugin_burn$") > 85, "an unloaded library's functions have names")
    e = os.path.join(d, "close")
    r = gort_run(e, ["-cpu"], "close-all")
    check(r.returncode == 0 and 270 <= total(only(e, "cpu"), "cpu") <= 330, "every descriptor closed")
    os.mkdir(os.path.join(d, "close2"))
    r = run([target, "close-all"], {"LD_PRELOAD": preload, "GORT_PROFILE": "cpu,out=" + os.path.join(d, "close2")})
    check(r.returncode == 0 and total(only(os.path.join(d, "close2"), "cpu"), "cpu") >= 270,
          "every descriptor closed, no parent: the program writes its file itself")
    r = gort_run(os.path.join(d, "count"), ["-heap", "-block", "-mutex"], "count-threads")
    check(r.stdout == "1 2\n", "no thread of ours in a program of one, unless it is needed: " + r.stdout.strip())
    e = os.path.join(d, "foreign")
    os.mkdir(e)
    r = run([target, "unannounced"], {"LD_PRELOAD": preload, "GORT_PROFILE": "heap,memrate=1,out=" + e}, timeout=30)
    check(r.stdout == "unannounced\n", "a thread that did not begin by pthread_create, and whose lock is held")
    e = os.path.join(d, "churn")
    r = gort_run(e, ["-cpu", "-heap", "-block", "-mutex", "-threadcreate", "-rate", "1000"], "churn", "1500")
    check(r.returncode == 0 and r.stdout == "churn\n" and len(files(e, "cpu")) == 1, "threads come and go")


def test_environment(d):
    r = run([target, "burn", "200"], {"LD_PRELOAD": preload})
    check(r.returncode == 0 and r.stdout == "burnt\n" and r.stderr == "" and not os.listdir(d), "preloaded, not asked")
    f = os.path.join(d, "gperf.prof")
    run([target, "burn", "300"], {"LD_PRELOAD": preload, "CPUPROFILE": f, "CPUPROFILE_FREQUENCY": "250"})
    check(280 <= total(f, "cpu") <= 325 and "Period: 4000000" in pprof("-raw", f), "CPUPROFILE and its frequency")
    r = run([target, "burn", "10"], {"LD_PRELOAD": preload, "GORT_PROFILE": "cpu,sausage=3,rate=0,out=/nonexistent"})
    check(r.returncode == 0 and r.stdout == "burnt\n" and '"sausage=3" is not understood' in r.stderr and
          '"rate=0" is not understood' in r.stderr and "/nonexistent" in r.stderr, "nonsense costs lines, nothing else")


def test_refusals(d):
    static = os.path.join(d, "static")
    src = os.path.join(d, "s.c")
    open(src, "w").write("int main(void) { return 0; }\n")
    if subprocess.run(["cc", "-static", "-o", static, src], capture_output=True).returncode == 0:
        r = run([gort, "run", "--", static])
        check(r.returncode == 2 and "statically linked" in r.stderr, "a static program is refused, with the reason")
        r = run([gort, "doctor", "--", static])
        check(r.returncode == 1 and "statically linked" in r.stdout, "doctor: the same")
    if os.geteuid() == 0:
        suid = os.path.join(d, "suid")
        shutil.copy(target, suid)
        os.chown(suid, 65534, 65534)
        os.chmod(suid, 0o4755)
        r = run([gort, "run", "--", suid, "burn"])
        check(r.returncode == 2 and "setuid" in r.stderr, "a setuid program is refused, with the reason")
    r = run([gort, "run", "--", "no-such-program"])
    check(r.returncode == 127 and "No such file" in r.stderr, "a program that is not there: 127")
    r = run([gort, "run", "-rate", "0", "--", target])
    check(r.returncode == 2 and "10000" in r.stderr, "a wrong rate")
    r = run([gort, "doctor", "--", target])
    check(r.returncode == 0 and "Nothing stands in the way" in r.stdout, "doctor: a program as it should be")
    stripped = os.path.join(d, "stripped")
    subprocess.run(["strip", "-o", stripped, target], check=True)
    check("stripped" in run([gort, "doctor", "--", stripped]).stdout, "doctor: a stripped program")


def test_http(d):
    p = subprocess.Popen([gort, "run", "-heap", "-http", "localhost:0", "-o", d, "--", "sh", "-c", target + " burn 30000; true"],
                         env=clean_env(), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         start_new_session=True)
    m = re.search(r"http://(\S+)/debug/pprof/", p.stderr.readline())
    if not check(m is not None, "-http says where"):
        p.kill()
        return
    for _ in range(2):  # the first request starts the timers
        top = pprof("-top", "-seconds=1", "http://%s/debug/pprof/profile" % m[1])
    t = re.search(r"Duration: ([\d.]+)s, Total samples = ([\d.]+)(m?s)", top)
    check(t is not None and float(t[2]) > 0 and " spin" in top, "profile?seconds=1 without -cpu: " + (t[0] if t else top))
    many = [subprocess.Popen(["go", "tool", "pprof", "-top", "-seconds=1", "http://%s/debug/pprof/profile" % m[1]],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(5)]
    check(all(" spin" in x.communicate(timeout=60)[0] for x in many), "five at once")
    with urllib.request.urlopen("http://%s/debug/pprof/cmdline" % m[1]) as r:
        check(r.read().startswith((target + "\0burn").encode()), "the command line is the program's")
    check(urllib.request.urlopen("http://%s/metrics" % m[1]).read().count(b"process_cpu_seconds_total") > 1, "metrics")
    os.killpg(p.pid, signal.SIGKILL)
    p.communicate()
    r = gort_run(d, ["-http", "0.0.0.0:0"], "burn", "1")
    check(r.returncode == 2 and "GORT_HTTP_TOKEN" in r.stderr, "a public address without a secret is refused")


# Ten seconds of wall time on two processors; GORT_STRESS_MS=60000 makes it a minute.
def test_many(d):
    each = int(os.environ.get("GORT_STRESS_MS") or 10000) * 2 // 64
    r = gort_run(d, ["-cpu", "-wall", "-rate", "10000"], "many", str(each), timeout=400)
    t = total(only(d, "cpu"), "cpu")
    check(r.returncode == 0 and r.stdout == "many\n" and .98 * 64 * each <= t <= 1.03 * 64 * each,
          "64 threads at 10 kHz: %d ms of CPU time, profiled %d ms" % (64 * each, t))


def test_asan(d):
    if not asan:
        return print("skip  no AddressSanitizer here")
    for mode, args in (("threads", []), ("locks", []), ("churn", ["1000"]), ("forks", [])):
        out = os.path.join(d, mode)
        r = run([gort, "run", "-cpu", "-heap", "-block", "-mutex", "-wall", "-rate", "1000", "-o", out, "--", asan, mode, *args],
                timeout=120)
        check(r.returncode == 0 and "Sanitizer" not in str(r.stderr), "under AddressSanitizer: " + mode)
    check(560 <= total(only(os.path.join(d, "threads"), "cpu"), "cpu") <= 700, "and profiled")


def test_duration(d):
    t0 = time.monotonic()
    r = gort_run(d, ["-cpu", "-duration", "300ms"], "burn", "900")
    t = total(only(d, "cpu"), "cpu")
    check(r.stdout == "burnt\n" and 0 < t < 850, "-duration 300ms: %d ms profiled, the program went on" % t)
    check(time.monotonic() - t0 > .9, "and was waited for")


if not shutil.which("go"):
    print("skipped: no go on the path")
    sys.exit(77)
for test in (test_cpu, test_rate, test_heap, test_locks, test_processes, test_signals, test_host,
             test_environment, test_refusals, test_http, test_many, test_duration, test_asan):
    if only_these and test.__name__ not in only_these:
        continue
    with tempfile.TemporaryDirectory() as d:
        t0 = time.monotonic()
        test(d)
        print("      %s: %.1f s" % (test.__name__, time.monotonic() - t0))
sys.exit(1 if common.failures else 0)
