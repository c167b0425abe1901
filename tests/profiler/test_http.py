# SPDX-License-Identifier: BSD-3-Clause
"""/debug/pprof of a gort program, asked by plain sockets, http.client and `go tool pprof`."""
import http.client
import json
import os
import re
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'integration'))
import check

OCTETS, TEXT = 'application/octet-stream', 'text/plain; charset=utf-8'


class Target:
    """The program, serving on a port that the system picked."""

    def __init__(self, *args, addr='localhost:0', **env):
        full = {k: v for k, v in os.environ.items() if not check.GORT_VARIABLES.match(k)}
        full.update(env, GORT_HTTP=addr)
        self.p = subprocess.Popen([check.arguments[0], *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=full)
        self.said = self.p.stderr.readline().decode()
        m = re.search(r':(\d+)/debug/pprof/', self.said)
        self.port = int(m[1]) if m else 0
        self.p.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.communicate()

    def get(self, path, method='GET', body=None, timeout=30, **headers):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        c.request(method, path, body, headers)
        r = c.getresponse()
        r.body = r.read()
        c.close()
        return r

    def url(self, path):
        return 'http://127.0.0.1:%d%s' % (self.port, path)

    def profile(self, path):
        with tempfile.NamedTemporaryFile(suffix='.pb.gz') as f:
            r = self.get(path)
            assert r.status == 200, (r.status, r.body)
            f.write(r.body)
            f.flush()
            return check.Profile(f.name)


class Routes(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.t = Target('idle')
        cls.addClassCleanup(cls.t.__exit__)

    def expect(self, path, status, ctype, body=None, method='GET', **headers):
        r = self.t.get(path, method)
        self.assertEqual(r.status, status, (path, r.body[:200]))
        self.assertEqual(r.getheader('Content-Type'), ctype, path)
        if status != 301:
            self.assertEqual(r.getheader('X-Content-Type-Options'), 'nosniff', path)
        for k, v in headers.items():
            self.assertEqual(r.getheader(k.replace('_', '-')), v, (path, k))
        if body is not None:
            self.assertEqual(r.body, body, path)
        return r

    def test_index(self):
        r = self.expect('/debug/pprof/', 200, 'text/html; charset=utf-8')
        rows = re.findall(rb"<tr><td>(\d+)</td><td><a href='(\w+)\?debug=1'>(\w+)</a></td></tr>", r.body)
        names = [n.decode() for _, n, _ in rows]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({'allocs', 'block', 'cmdline', 'conns', 'goroutine', 'heap', 'mutex', 'profile',
                              'threadcreate'}, set(names))
        self.assertEqual(dict((n, int(c)) for c, n, _ in rows)[b'conns'], 2)
        self.assertEqual(dict((n, int(c)) for c, n, _ in rows)[b'goroutine'], 5)

    def test_redirect(self):
        self.expect('/debug/pprof', 301, 'text/html; charset=utf-8', Location='/debug/pprof/')

    def test_profiles_and_headers(self):
        for name in ('heap', 'allocs', 'goroutine', 'threadcreate', 'block', 'mutex', 'conns'):
            with self.subTest(name=name):
                r = self.expect('/debug/pprof/' + name, 200, OCTETS, X_Go_Pprof=None,
                                Content_Disposition='attachment; filename="%s"' % name)
                self.assertEqual(r.body[:2], b'\x1f\x8b')
                r = self.expect('/debug/pprof/' + name + '?debug=1', 200, TEXT, Content_Disposition=None)
                self.assertNotEqual(r.body[:2], b'\x1f\x8b')
        self.expect('/debug/pprof/goroutine?debug=junk', 200, OCTETS)
        self.assertEqual(self.expect('/debug/pprof/goroutine?debug=-1', 200, TEXT).body[:2], b'\x1f\x8b')
        self.assertTrue(self.expect('/debug/pprof/heap?debug=-1', 200, TEXT).body.startswith(b'heap profile: '))

    def test_cmdline(self):
        self.expect('/debug/pprof/cmdline', 200, TEXT, (check.arguments[0] + '\0idle').encode())

    def test_head(self):
        r = self.expect('/debug/pprof/cmdline', 200, TEXT, b'', method='HEAD')
        self.assertEqual(int(r.getheader('Content-Length')), len(check.arguments[0]) + 5)

    def test_errors(self):
        e = dict(X_Go_Pprof='1', Content_Disposition=None)
        self.expect('/debug/pprof/nope', 404, TEXT, b'Unknown profile\n', **e)
        self.expect('/debug/pprof/heap/', 404, TEXT, b'Unknown profile\n', **e)
        for bad in ('x', '0', '-1', '1.5', '%20', '99999999999999999999'):
            self.expect('/debug/pprof/heap?seconds=' + bad, 400, TEXT,
                        b'invalid value for "seconds" - must be a positive integer\n', **e)
        self.expect('/debug/pprof/conns?seconds=1&debug=1', 400, TEXT,
                    b'"seconds" parameter is not supported for this profile type\n', **e)
        self.expect('/debug/pprof/heap?seconds=1&debug=1', 400, TEXT,
                    b'seconds and debug params are incompatible\n', **e)
        self.expect('/debug/pprof/heap?seconds=', 200, OCTETS)
        self.expect('/elsewhere', 404, TEXT, b'404 page not found\n')
        self.assertEqual(self.expect('/debug/pprof/trace', 500, TEXT, **e).body[:27], b'Could not enable tracing: t')
        for path in ('/debug/pprof/heap', '/debug/pprof/', '/metrics'):
            self.expect(path, 405, TEXT, b'Method Not Allowed\n', method='POST', Allow='GET, HEAD')

    def test_symbol(self):
        text = self.t.get('/debug/pprof/goroutine?debug=1').body.decode()
        pc = int(re.search(r'#\t(0x[0-9a-f]+)\twaiter\+', text)[1], 16)
        want = b'num_symbols: 1\n%#x waiter\n' % pc
        for r in (self.t.get('/debug/pprof/symbol?%#x+junk+0x0' % pc),
                  self.t.get('/debug/pprof/symbol?%d' % pc),
                  self.t.get('/debug/pprof/symbol', 'POST', '0x1+%#x' % pc)):
            self.assertEqual((r.status, r.getheader('Content-Type'), r.body), (200, TEXT, want))
        self.assertEqual(self.t.get('/debug/pprof/symbol').body, b'num_symbols: 1\n')
        self.assertEqual(self.t.get('/debug/pprof/symbol', 'POST', '1+' * 600000).status, 413)

    def test_vars(self):
        r = self.expect('/debug/vars', 200, 'application/json; charset=utf-8')
        v = json.loads(r.body)
        self.assertEqual(v['cmdline'], [check.arguments[0], 'idle'])
        self.assertEqual(v['gort']['goroutines'], 5)
        self.assertEqual(len(v['memstats']['PauseNs']), 256)
        self.assertGreater(v['memstats']['HeapSys'], 0)

    def test_metrics(self):
        r = self.expect('/metrics', 200, 'text/plain; version=0.0.4; charset=utf-8')
        values = dict(re.findall(r'^(\w+) ([-+.e\d]+)$', r.body.decode(), re.M))
        self.assertEqual(values['go_goroutines'], '5')
        self.assertGreater(float(values['process_resident_memory_bytes']), 1 << 20)
        self.assertAlmostEqual(float(values['process_start_time_seconds']), time.time(), delta=60)
        self.assertEqual(values['gort_profile_events_lost_total'], '0')
        for line in r.body.decode().splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"\})? [-+.e\d]+)$')

    def test_go_tool_pprof(self):
        with tempfile.TemporaryDirectory() as d:
            for path, want in (('/debug/pprof/goroutine', 'waiter'), ('/debug/pprof/goroutine?debug=1', 'waiter')):
                r = check.run(check.go(), 'tool', 'pprof', '-top', self.t.url(path), PPROF_TMPDIR=d)
                self.assertStatus(r, 0)
                self.assertRegex(r.out, r'\b%s\b' % want)
            r = check.run(check.go(), 'tool', 'pprof', '-top', self.t.url('/debug/pprof/nope'), PPROF_TMPDIR=d)
            self.assertIn('404 Not Found - Unknown profile', r.err)


class Profiles(check.TestCase):
    def test_overlapping_cpu_profiles(self):
        with Target('spin', GORT_MAXPROCS='1') as t:
            results, threads = [], []
            for i in range(5):
                threads.append(threading.Thread(target=lambda: results.append(t.profile('/debug/pprof/profile?seconds=1'))))
                threads[-1].start()
                time.sleep(0.1)
            for th in threads:
                th.join()
            self.assertEqual(len(results), 5)
            for p in results:
                self.assertEqual(p.types, ['samples/count', 'cpu/nanoseconds'])
                self.assertGreater(p.total(0, 'spin'), 0)  # one P for all: a busy machine leaves it little
                self.assertGreaterEqual(p.total(0, 'spin'), p.total(0) * 0.8)

    def sampling(self, t):
        with open('/proc/%d/timers' % t.p.pid) as f:
            return 'signal: 27/' in f.read()

    def test_wall(self):
        with Target('idle') as t:
            p = t.profile('/debug/pprof/wall?seconds=1')
            self.assertEqual(p.types, ['samples/count', 'wall/nanoseconds'])
            self.assertEqual(p.period_type, 'wall nanoseconds')
            seconds = float(re.search(r'Duration: ([\d.]+)', p.text)[1])
            # Four goroutines that wait for a channel, and one in a system call: each all the time, at every look.
            # The last of them may come some time before the end on a busy machine.
            waited = p.total(1, 'wait_for_stdin') / 1e9
            self.assertAlmostEqual(p.total(1, 'waiter') / 1e9, 4 * waited, delta=0.1)
            self.assertGreater(waited, 0.2 * seconds)
            self.assertLess(waited, 1.1 * seconds)
            self.assertRegex(p.text, r'a"b:\[c\nd\] op:\[recv\] state:\[chan receive\]')
            self.assertRegex(p.text, r'state:\[syscall\]')
            end = time.time() + 50
            while 'gort-wall' in self.threads(t):
                self.assertLess(time.time(), end)

    def threads(self, t):
        names = []
        for task in os.listdir('/proc/%d/task' % t.p.pid):
            try:
                with open('/proc/%d/task/%s/comm' % (t.p.pid, task)) as f:
                    names.append(f.read().strip())
            except OSError:
                pass
        return names

    def test_client_that_leaves_ends_its_profile(self):
        with Target('idle') as t:
            s = socket.create_connection(('127.0.0.1', t.port))
            s.sendall(b'GET /debug/pprof/profile?seconds=60 HTTP/1.1\r\nHost: x\r\n\r\n')
            time.sleep(0.3)
            if not self.sampling(t):
                self.skipTest('this kernel does not show timers')
            s.close()
            end = time.time() + 50
            while self.sampling(t):
                self.assertLess(time.time(), end, 'still sampling')
                time.sleep(0.05)

    def test_delta(self):
        with Target('churn') as t:
            heap, mutex = [], []
            th = threading.Thread(target=lambda: mutex.append(t.profile('/debug/pprof/mutex?seconds=1')))
            th.start()
            p = t.profile('/debug/pprof/heap?seconds=1')
            th.join()
            # Of what was allocated meanwhile half was kept; in use is everything kept, from before as well.
            before = 64 * 65536
            self.assertGreater(p.total(1, 'drop_some'), 0)
            self.assertEqual(p.total(3, 'drop_some'), 0)
            self.assertGreater(p.total(3, 'keep_some'), before)
            self.assertGreater(p.total(3, 'keep_some'), p.total(1, 'keep_some'))
            self.assertRegex(p.text, r'Duration: 1\.?\d*')
            self.assertGreater(mutex[0].total(0, 'contender'), 0)
            r = t.get('/debug/pprof/heap?seconds=1')
            self.assertEqual(r.getheader('Content-Disposition'), 'attachment; filename="heap-delta"')

    def test_since_last(self):
        with Target('churn') as t:
            first = t.profile('/debug/pprof/delta_heap').total(1)
            time.sleep(0.5)
            second = t.profile('/debug/pprof/delta_heap').total(1)
            whole = t.profile('/debug/pprof/heap').total(1)
            self.assertGreater(first, 0)
            self.assertGreater(second, 0)
            self.assertLess(second, whole)
            t.get('/debug/pprof/delta_mutex')
            self.assertLess(t.profile('/debug/pprof/delta_mutex').total(0), t.profile('/debug/pprof/mutex').total(0))
            self.assertEqual(t.get('/debug/pprof/delta_goroutine').status, 404)

    def test_answers_while_everything_is_stuck(self):
        with Target('spin', GORT_MAXPROCS='2') as t:
            start = time.time()
            text = ''
            while text.count('\ngoroutine ') < 8 and time.time() - start < 100:  # it may be starting them still
                text = t.get('/debug/pprof/goroutine?debug=2').body.decode()
            self.assertEqual(len(re.findall(r'^goroutine \d+ \[', text, re.M)), 9)
            self.assertRegex(text, r'goroutine \d+ \[(?:chan receive|runnable)\]:\nwaiter\(\.\.\.\)\n\t\S+/target\.c:\d+ \+0x')
            self.assertGreaterEqual(len(re.findall(r'^spin\(', text, re.M)), 4)
            self.assertEqual(t.get('/debug/pprof/heap?gc=1').status, 200)
            self.assertIn(b'go_goroutines 9\n', t.get('/metrics').body)

    def test_deadlock_is_still_seen(self):
        with Target('deadlock') as t:  # when its stdin ends
            for path in ('/debug/pprof/goroutine', '/metrics', '/debug/pprof/heap?gc=1'):
                self.assertEqual(t.get(path).status, 200)
            _, err = t.p.communicate(timeout=100)
            self.assertIn(b'fatal error: all goroutines are asleep - deadlock!', err)
            self.assertEqual(t.p.returncode, 2)


class Address(check.TestCase):
    def test_public_address_needs_a_token(self):
        with Target('idle', addr='0.0.0.0:0') as t:
            self.assertRegex(t.said, r'^gort: GORT_HTTP=0\.0\.0\.0:0: can be reached by other machines.*GORT_HTTP_TOKEN')
            self.assertIsNone(t.p.poll())
        with Target('idle', addr='0.0.0.0:0', GORT_HTTP_TOKEN='s3cret') as t:
            self.assertEqual(t.get('/debug/pprof/').status, 401)
            self.assertEqual(t.get('/debug/pprof/heap?token=s3cre').status, 401)
            self.assertEqual(t.get('/debug/pprof/heap?token=s3cret').status, 200)
            self.assertEqual(t.get('/metrics', Authorization='Bearer s3cret').status, 200)
            self.assertEqual(t.get('/metrics', Authorization='Bearer s3cret2').status, 401)

    def test_bad_addresses(self):
        for addr, what in (('6060', 'is no address'), ('localhost:x', 'is no address'), ('a::b:1', 'is no address'),
                           ('localhost:70000', 'is no address'), ('no.such.host.invalid:1', 'Cannot assign')):
            with Target('idle', addr=addr) as t:
                self.assertIn('gort: GORT_HTTP=%s: %s' % (addr, what), t.said)
                self.assertIsNone(t.p.poll())
        with Target('idle') as t, Target('idle', addr='localhost:%d' % t.port) as u:
            self.assertIn('Address already in use', u.said)

    def test_port_alone_is_loopback(self):
        with Target('idle', addr=':0') as t:
            self.assertEqual(t.get('/debug/pprof/').status, 200)
            with open('/proc/net/tcp') as f:
                listening = f.read()
            self.assertIn('0100007F:%04X 00000000:0000 0A' % t.port, listening)


class Robustness(check.TestCase):
    def raw(self, t, data, n=4096):
        s = socket.create_connection(('127.0.0.1', t.port), timeout=2)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return s.recv(n)
        except OSError:  # closed on us, or left waiting for the rest until the server loses patience
            return b''
        finally:
            s.close()

    def test_malformed_requests(self):
        with Target('idle') as t:
            for data in (b'\r\n\r\n', b'GET\r\n\r\n', b'\0' * 5000, b'GET / HTTP/9.9\r\n\r\n', b'GET /' + b'a' * 100000,
                         b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 20000 + b'\r\n',
                         b'POST /debug/pprof/symbol HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
                         b'POST /debug/pprof/symbol HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
                         b'GET /debug/pprof/%00%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n',
                         b'GET /debug/pprof/heap?seconds=%&debug=%4&=&&? HTTP/1.1\r\nHost: x\r\n\r\n',
                         os.urandom(3000)):
                self.raw(t, data)
                self.assertEqual(t.get('/debug/pprof/cmdline').status, 200, data[:40])

    def test_a_thousand_clients(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 1200:
            self.skipTest('descriptors are limited to %d' % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
        with Target('idle') as t, selectors.DefaultSelector() as sel:
            socks = [socket.create_connection(('127.0.0.1', t.port)) for _ in range(1000)]
            for i, s in enumerate(socks):
                path = ('heap', 'goroutine?debug=1', 'cmdline', '')[i % 4]
                s.sendall(b'GET /debug/pprof/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' % path.encode())
                s.setblocking(False)
                sel.register(s, selectors.EVENT_READ, bytearray())
            left, end = 1000, time.time() + 60
            while left and time.time() < end:
                for key, _ in sel.select(1):
                    data = key.fileobj.recv(65536)
                    key.data.extend(data)
                    if not data:
                        self.assertTrue(key.data.startswith(b'HTTP/1.1 200 '), bytes(key.data[:100]))
                        sel.unregister(key.fileobj)
                        key.fileobj.close()
                        left -= 1
            self.assertEqual(left, 0)
            while len(os.listdir('/proc/%d/fd' % t.p.pid)) >= 40 and time.time() < end:
                time.sleep(0.01)
            self.assertLess(len(os.listdir('/proc/%d/fd' % t.p.pid)), 40)

    def test_slow_readers_and_silent_ones(self):
        with Target('idle') as t:
            held = []
            for i in range(60):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                s.connect(('127.0.0.1', t.port))
                s.sendall(b'GET /debug/pprof/heap?debug=1 HTTP/1.1\r\nHost: x\r\n' + (b'\r\n' if i % 2 else b''))
                held.append(s)
            for _ in range(5):
                start = time.time()
                self.assertEqual(t.get('/debug/pprof/heap').status, 200)
                self.assertLess(time.time() - start, 5)
            for s in held:
                s.close()


check.go()
check.main()
