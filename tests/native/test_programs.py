# SPDX-License-Identifier: BSD-3-Clause
# Programs from Debian that nobody here wrote, under load: the same results as without gort, every profile
# parses, CPU totals are those of the kernel, heap totals those of the allocator, the top functions are
# right. What is not installed is skipped, with a line.
import glob
import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
from common import check, clean_env, files, pprof, run, share, total

gort = os.path.realpath(sys.argv[1])


def missing(*names):
    for n in names:
        if not shutil.which(n):
            print("skip  %s is not installed" % n)
            return True
    return False


# Runs args bare and profiled; the outputs must be equal. Returns the folder's CPU files.
def compare(d, what, args, product=None, options=("-cpu", "-heap")):
    bare = run(args, cwd=d, timeout=60)
    made = open(product, "rb").read() if product else b""
    out = os.path.join(d, what)
    r = run([gort, "run", *options, "-o", out, "--", *args], cwd=d, timeout=60)
    again = open(product, "rb").read() if product else b""
    check(bare.returncode == 0 and r.returncode == 0 and bare.stdout == r.stdout and made == again,
          "%s: the same result" % what)
    m = re.search(r" ([\d.]+) s of CPU time, ([\d.]+) s sampled", r.stderr)
    cpu, sampled = (float(m[1]), float(m[2])) if m else (0, -1)
    check(abs(cpu - sampled) <= .05 * cpu + .02, "%s: %.2f s of CPU time, %.2f s sampled" % (what, cpu, sampled))
    for f in files(out, "cpu") + files(out, "heap"):
        check("Time: " in pprof("-top", f), "%s: %s parses" % (what, os.path.basename(f)))
    return out


def test_xz(d):
    if missing("xz"):
        return
    text = os.path.join(d, "text")
    with open(text, "wb") as f:
        for i in range(60000):
            f.write(hashlib.md5(b"%d" % i).hexdigest().encode() * 2)
    out = compare(d, "xz", ["xz", "-k", "-f", "-2", "-T2", text], text + ".xz", ["-cpu", "-heap", "-block", "-mutex"])
    f = files(out, "cpu")[0]
    check(share(f, r"^liblzma|^lzma_|^xz") > 90 or share(f, "start_thread") > 90, "xz: its time is in liblzma's threads")
    check(share(files(out, "block")[0], r"^pthread_cond_(timed)?wait$", "delay") > 50, "xz: and main waits for them")
    check("xz" in pprof("-tags", f), "xz: threads have names")


def test_sqlite3(d):
    if missing("sqlite3"):
        return
    sql = ("create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c where x<400000) "
           "insert into t select x, x*7919%100003 from c; create index i on t(b); "
           "select count(distinct b), sum(a) from t where b%3=1;")
    out = compare(d, "sqlite3", ["sqlite3", ":memory:", sql])
    check(share(files(out, "cpu")[0], r"^sqlite3VdbeExec$|^sqlite3_step$|^sqlite3_exec$") > 70, "sqlite3: in its engine")
    # Pages of an in-memory database: 400,000 rows with an index take 12 MB or more.
    check(share(files(out, "heap")[0], r"libsqlite3|^sqlite3", "alloc_space") > 80, "sqlite3: its pages are its own")


def test_python3(d):
    python = "/usr/bin/python3"
    if not os.access(python, os.X_OK):
        print("skip  %s is not installed" % python)
        return
    code = ("import json\n"
            "x = [{'k%d' % (i % 50): i, 'v': [i] * 5} for i in range(20000)]\n"
            "for i in range(6): s = json.dumps(json.loads(json.dumps(x)))\n"
            "print(len(s), hash(s) != 0)")
    out = compare(d, "python3", [python, "-S", "-c", code])
    check(share(files(out, "cpu")[0], r"^_?PyEval|^Py_RunMain$|^main$|^_start$|^__libc_start") > 90,
          "python3: stacks reach its main function")


def test_gcc(d):
    if missing("gcc"):
        return
    src, obj = os.path.join(d, "a.c"), os.path.join(d, "a.o")
    with open(src, "w") as f:
        for i in range(500):
            f.write("int f%d(int a, int b) { int s = 0; for (int i = 0; i < a; i++) s += b * i ^ %d; return s; }\n" % (i, i))
    out = compare(d, "gcc", ["gcc", "-O2", "-c", "-o", obj, src], obj)
    cc1 = [f for f in files(out, "cpu") if os.path.basename(f).startswith("cc1.")]
    check(len(cc1) == 1 and total(cc1[0], "cpu") > 200, "gcc: the compiler proper, two exec calls below, is profiled")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, p):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            if p.poll() is not None:
                return False
            time.sleep(.05)
    return False


def proc_cpu(pid):
    f = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def test_redis(d):
    if missing("redis-server", "redis-benchmark", "redis-cli"):
        return
    port, http, out = free_port(), free_port(), os.path.join(d, "redis")
    p = subprocess.Popen([gort, "run", "-cpu", "-heap", "-memrate", "65536", "-http", "localhost:%d" % http, "-o", out, "--",
                          "redis-server", "--port", str(port), "--save", ""],
                         env=clean_env(), cwd=d, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if not check(wait_port(port, p) and wait_port(http, p), "redis: up under gort run"):
        p.kill()
        return
    subprocess.run(["redis-benchmark", "-p", str(port), "-n", "120000", "-q", "-P", "16", "-t", "set,lpush", "-r", "60000",
                    "-d", "400"], stdout=subprocess.DEVNULL, timeout=60)
    cli = ["redis-cli", "-p", str(port)]
    time.sleep(.6)  # its figures are as of its last tick
    heap = os.path.join(d, "heap.pb.gz")
    urllib.request.urlretrieve("http://localhost:%d/debug/pprof/heap" % http, heap)
    info = subprocess.run(cli + ["info"], capture_output=True, text=True, timeout=20).stdout
    pid = int(re.search(r"process_id:(\d+)", info)[1])
    truth = int(re.search(r"allocator_allocated:(\d+)", info)[1]) / 1024
    inuse = total(heap, "inuse_space")
    check(abs(inuse - truth) < .1 * truth, "redis: %d kB in use, its allocator says %d kB" % (inuse, truth))
    check(share(heap, r"^readQueryFromClient$", "inuse_space") > 80 and
          share(heap, r"^(processCommand|call)$", "inuse_space") > 40 and
          share(heap, r"^zrealloc_usable$", "inuse_space") > 30,
          "redis: allocated by its commands")
    cpu = proc_cpu(pid)
    subprocess.run(cli + ["shutdown", "nosave"], timeout=20)
    err = p.communicate(timeout=30)[1]
    t = total(files(out, "cpu")[0], "cpu")
    check(p.returncode == 0 and abs(t - cpu) <= .05 * cpu + 30, "redis: %d ms of CPU time, %d ms sampled" % (cpu, t))
    check(share(files(out, "cpu")[0], r"^aeMain$|^aeProcessEvents$") > 80, "redis: in its event loop")
    check(os.path.basename(files(out, "cpu")[0]).startswith("redis-server."), "redis: the file has the program's name")


def test_nginx(d):
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not nginx or missing("wrk"):
        return print("skip  nginx is not installed") if not nginx else None
    port, out, root = free_port(), os.path.join(d, "nginx"), os.path.join(d, "root")
    os.mkdir(root)
    for folder in (d, root):
        os.chmod(folder, 0o755)
    with open(os.path.join(root, "page.html"), "w") as f:
        f.write("".join("<p>%d</p>\n" % (i * i) for i in range(2500)))
    conf = os.path.join(d, "nginx.conf")
    with open(conf, "w") as f:
        f.write("worker_processes 2; pid %s/pid; error_log %s/err; events {}\nhttp { access_log off; gzip on; "
                "server { listen 127.0.0.1:%d; root %s; } }\n" % (d, d, port, root))
    # It daemonises: gort comes back, the files follow.
    r = run([gort, "run", "-cpu", "-heap", "-o", out, "--", nginx, "-c", conf], capture_output=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
    if not check(r.returncode == 0, "nginx: gort comes back from a daemon"):
        return
    url = "http://127.0.0.1:%d/page.html" % port
    body = urllib.request.urlopen(url, timeout=10).read()
    check(body == open(os.path.join(root, "page.html"), "rb").read(), "nginx: serves what it should")
    subprocess.run(["wrk", "-t1", "-c8", "-d2", "-H", "Accept-Encoding: gzip", url], stdout=subprocess.DEVNULL, timeout=30)
    master = int(open(os.path.join(d, "pid")).read())
    workers = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True).stdout.split()
    cpu = sum(proc_cpu(int(w)) for w in workers)
    subprocess.run([nginx, "-c", conf, "-s", "quit"], stderr=subprocess.DEVNULL, timeout=20)
    for _ in range(150):
        t = sum(total(f, "cpu") for f in files(out, "cpu"))
        if t > .9 * cpu:
            break
        time.sleep(.1)
    check(abs(t - cpu) <= .05 * cpu + 60, "nginx: %d ms of CPU time in %d workers, %d ms sampled" % (cpu, len(workers), t))
    best = max((f for f in files(out, "cpu")), key=lambda f: total(f, "cpu"), default="")
    check(best and share(best, r"^deflate$|^libz\.so|^ngx_process_events_and_timers$|^ngx_") > 50, "nginx: it compresses")


# A server that forks a process for each client. Not as root, which it refuses to be.
class Postgres:
    def __init__(self, bin, d):
        self.bin, self.d, self.who = bin, d, {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(d, nobody.pw_uid, nobody.pw_gid)

    def run(self, *args):
        return subprocess.run(args, capture_output=True, text=True, timeout=60, cwd=self.d,
                              env=clean_env({"HOME": self.d}), **self.who)

    def call(self, program, *args):
        return self.run(os.path.join(self.bin, program), *args)

    def sql(self, text):
        return self.call("psql", "-X", "-q", "-A", "-t", "-h", self.d, "-U", "tester", "-d", "postgres", "-c", text).stdout.split()

    # Starts the server and waits until it answers. It listens on a socket in the folder only.
    def start(self, *before):
        data = os.path.join(self.d, "data")
        p = subprocess.Popen([*before, os.path.join(self.bin, "postgres"), "-D", data, "-k", self.d, "-c", "listen_addresses=",
                              "-c", "fsync=off", "-c", "work_mem=256MB", "-c", "max_parallel_workers_per_gather=0",
                              "-c", "jit=off"], cwd=self.d, env=clean_env(),
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **self.who)
        for _ in range(200):
            if self.call("pg_isready", "-q", "-h", self.d).returncode == 0 or p.poll() is not None:
                break
            time.sleep(.05)
        return p

    def stop(self, p):
        p.send_signal(signal.SIGINT)
        return p.communicate(timeout=60)[1]


def test_postgres(d):
    bins = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda b: int(b.split("/")[-2].split(".")[0]))
    if not bins:
        return print("skip  postgres is not installed")
    pg, out = Postgres(bins[-1], d), os.path.join(d, "out")
    if pg.run("/usr/bin/test", "-x", gort).returncode != 0:
        return print("skip  nobody may run %s, and root must not run postgres" % gort)
    if not check(pg.call("initdb", "-D", os.path.join(d, "data"), "-U", "tester", "-A", "trust", "-N",
                         "--no-locale").returncode == 0, "postgres: initdb"):
        return
    p = pg.start(gort, "run", "-cpu", "-heap", "-memrate", "8192", "-o", out, "--")
    pg.call("pgbench", "-i", "-q", "-s", "1", "-h", d, "-U", "tester", "postgres")
    bench = pg.call("pgbench", "-n", "-c", "4", "-t", "500", "-h", d, "-U", "tester", "postgres")
    check("2000/2000" in bench.stdout, "postgres: 2,000 transactions of 4 clients")
    sums = pg.sql("select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history), "
                  "count(*) from pgbench_history")
    check(sums == ["t|2000"], "postgres: its books balance")
    # A held cursor keeps its rows in memory till the client is gone.
    n = 4000000
    said = pg.sql("select sum(length(replace(x::text, '1', '11')) - length(x::text)) from generate_series(1, %d) x; "
                  "begin; declare c cursor with hold for select x, repeat('y', 200) from generate_series(1, 200000) x; "
                  "commit; select sum(total_bytes) from pg_backend_memory_contexts; select pg_backend_pid(); "
                  "select pg_read_file('/proc/self/schedstat')" % n)
    ones = sum(n // (10 * p) * p + min(max(n % (10 * p) - p + 1, 0), p) for p in (10 ** k for k in range(7)))
    if not check(len(said) >= 4 and said[0] == str(ones), "postgres: a query's result is right"):
        said = [0] * 4
    err = pg.stop(p)
    check("exited with 0" in err, "postgres: ends as it should")
    mine = [f for f in files(out, "cpu") + files(out, "heap") if ".%s." % said[2] in os.path.basename(f)]
    if check(len(mine) == 2, "postgres: the backend has its files"):
        t, inuse = total(mine[0], "cpu"), total(mine[1], "inuse_space")
        cpu, truth = int(said[3]) / 1e6, int(said[1]) / 1024
        check(cpu > 300 and abs(cpu - t) <= .05 * cpu + 10, "postgres: %d ms of CPU time, %d ms sampled" % (cpu, t))
        check(truth > 40000 and abs(inuse - truth) < .1 * truth, "postgres: %d kB in use, it says %d kB" % (inuse, truth))
        check(share(mine[0], "^PostgresMain$") > 90 and share(mine[0], "^(exec_simple_query|ExecutorRun|PortalRun)$") > 80,
              "postgres: its time is in its queries")
    check(len(files(out, "cpu")) >= 5 and not [f for f in files(out, "cpu") + files(out, "heap") if "Time: " not in pprof("-top", f)],
          "postgres: the profiles of %d processes parse" % len(files(out, "cpu")))


if not shutil.which("go"):
    print("skipped: no go on the path")
    sys.exit(77)
for test in (test_xz, test_sqlite3, test_python3, test_gcc, test_redis, test_nginx, test_postgres):
    if len(sys.argv) > 2 and test.__name__ not in sys.argv[2:]:
        continue
    with tempfile.TemporaryDirectory() as d:
        t0 = time.monotonic()
        test(d)
        print("      %s: %.1f s" % (test.__name__, time.monotonic() - t0))
sys.exit(1 if common.failures else 0)
