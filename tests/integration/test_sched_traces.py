# SPDX-License-Identifier: BSD-3-Clause
"""What the scheduler shows: schedtrace lines, goroutine dumps, traceback levels."""
import os
import re
import signal
import subprocess

import check

SUMMARY = re.compile(r'^SCHED (\d+)ms: gomaxprocs=(\d+) idleprocs=(\d+) threads=(\d+) spinningthreads=\d+ '
                     r'needspinning=\d+ idlethreads=(\d+) runqueue=\d+ \[((?: \d+)+) \] schedticks=\[((?: \d+)+) \]$')
DETAIL = re.compile(r'^SCHED \d+ms: gomaxprocs=2 .* runqueue=\d+ gcwaiting=(true|false) nmidlelocked=\d+ '
                    r'stopwait=\d+ sysmonwait=(true|false)$')
P = re.compile(r'^  P\d+: status=\d schedtick=\d+ syscalltick=\d+ m=(nil|\d+) runqsize=\d+ gfreecnt=\d+ timerslen=\d+$')
M = re.compile(r'^  M\d+: p=(nil|\d+) curg=(nil|\d+) mallocing=\d throwing=\d preemptoff= locks=\d dying=\d '
               r'spinning=(true|false) blocked=(true|false) lockedg=(nil|\d+)$')
G = re.compile(r'^  G\d+: status=\d+\(.*\) m=(nil|\d+) lockedm=(nil|\d+)$')


class SchedTraces(check.TestCase):
    program = property(lambda self: check.arguments[0])

    def lines(self, debug):
        r = check.run(self.program, GORT_DEBUG=debug, GORT_MAXPROCS='2')
        self.assertStatus(r, 0)
        return r.err.splitlines()

    def test_summary_lines_have_gos_form(self):
        lines = self.lines('schedtrace=100')
        self.assertGreaterEqual(len(lines), 2)  # ten, where the thread that prints them gets its CPU in time
        times = []
        for line in lines:
            m = SUMMARY.match(line)
            self.assertTrue(m, line)
            times.append(int(m[1]))
            self.assertEqual(m[2], '2')
            self.assertEqual(len(m[6].split()), 2)
            self.assertEqual(len(m[7].split()), 2)
            self.assertLessEqual(int(m[5]), int(m[4]))
        self.assertEqual(times[0], 0)
        for a, b in zip(times, times[1:]):
            self.assertGreaterEqual(b - a, 100)

    def test_detail_lists_every_p_m_and_g(self):
        lines = self.lines('schedtrace=300,scheddetail=1')
        kinds = {'SCHED': DETAIL, '  P': P, '  M': M, '  G': G}
        seen = set()
        for line in lines:
            kind = next((k for k in kinds if line.startswith(k)), None)
            self.assertTrue(kind and kinds[kind].match(line), line)
            seen.add(kind)
        self.assertEqual(seen, set(kinds))
        self.assertTrue(any(re.match(r'  G1: status=4\(sleep\)', line) for line in lines))

    def test_a_server_with_timers_beside_a_tight_loop(self):
        r = check.run(check.arguments[1], GORT_DEBUG='schedtrace=200,scheddetail=1', GORT_MAXPROCS='2')
        self.assertStatus(r, 0)
        m = re.match(r'(\d+) connections, (\d+) answers, 100000 timers\n$', r.out)
        self.assertTrue(m, r.out)
        self.assertEqual(int(m[2]), 3 * int(m[1]))
        traces = re.split(r'(?m)^(?=SCHED )', r.err)
        self.assertGreater(len(traces), 3)
        # A look while the connections were up: a goroutine for each of their ends, most of them waiting;
        # the timers; and the loop, which never gave up its thread.
        crowded = max(traces, key=lambda t: t.count('\n  G'))
        self.assertGreater(crowded.count('\n  G'), 1.9 * int(m[1]))
        self.assertIn('(IO wait)', crowded)
        timers = max(sum(map(int, re.findall(r'timerslen=(\d+)', t))) for t in traces)
        self.assertGreater(timers, 1000)
        self.assertRegex(crowded, r'(?m)^  G\d+: status=2\(.*\) m=\d+')

    def dump(self, ignored=False, **env):
        """What a SIGQUIT prints. It is sent when the program's own trace says that goroutine 1 sleeps and
        that others loop, so that it is goroutine 1's last sleep."""
        before = signal.signal(signal.SIGQUIT, signal.SIG_IGN if ignored else signal.SIG_DFL)
        p = subprocess.Popen([self.program, 'wait'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=dict(os.environ, GORT_MAXPROCS='2', GORT_DEBUG='schedtrace=20,scheddetail=1', **env))
        signal.signal(signal.SIGQUIT, before)
        self.assertEqual(p.stdout.readline(), 'ready\n')
        looping = asleep = False
        while not asleep:
            line = p.stderr.readline()
            self.assertTrue(line, 'ended before goroutine 1 slept')
            looping = looping or bool(re.match(r'  G(?!1:)\d+: status=2', line))
            asleep = looping and line.startswith('  G1: status=4(sleep)')
        p.send_signal(signal.SIGQUIT)
        out, err = p.communicate(timeout=100)
        self.assertEqual(p.returncode, 2, err)
        return err[err.index('SIGQUIT'):]

    def test_sigquit_dumps_every_goroutine(self):
        err = self.dump()
        self.assertRegex(err, r'^SIGQUIT: quit\nPC=0x[0-9a-f]+ m=\d+ sigcode=0\n\n')
        self.assertRegex(err, r'(?m)^goroutine 1 \[sleep\]:\napp\(')
        self.assertRegex(err, r'(?m)^goroutine \d+ \[chan receive\]:\nwait_here\(.*\n.*\ncreated by app in goroutine 1$')

    def test_sigquit_also_where_it_was_ignored(self):
        """As in a shell's background job."""
        self.assertIn('goroutine 1 [sleep]:', self.dump(ignored=True))

    def test_traceback_none_prints_no_goroutine(self):
        self.assertNotIn('goroutine', self.dump(GORT_TRACEBACK='none'))

    def crash(self, level):
        return check.run(self.program, 'crash', GORT_TRACEBACK=level)

    def test_levels_of_a_crash(self):
        single, every, system = (self.crash(x) for x in ('single', 'all', 'system'))
        for r in (single, every, system):
            self.assertStatus(r, 2)
            self.assertRegex(r.err, r'(?m)^crash_here\(')
        self.assertNotIn('wait_here', single.err)
        self.assertIn('wait_here', every.err)
        self.assertNotIn('rt_switch_away', every.err)
        self.assertIn('rt_switch_away', system.err)

    def test_crash_level_aborts(self):
        r = self.crash('crash')
        self.assertStatus(r, -signal.SIGABRT)


check.main()
