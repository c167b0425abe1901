# SPDX-License-Identifier: BSD-3-Clause
"""Small programs in Go and in C print the same, end with the same status, and fail with the same words."""
import os
import re
import tempfile

import check

OLDEST_GO = (1, 25)  # sync.WaitGroup.Go

# Where the schedule, or chance, decides: all that may be printed.
EITHER = {
    'one_of_two_senders': {'1\n2\n', '2\n1\n'},
    'select_either_ready': {'a 1\n', 'b 2\n'},
}
# The highest of the programs' counts is at most 3, and seldom less.
UP_TO_THREE = {'semaphore_of_three': {'%d 0\n' % n for n in (1, 2, 3)}}
ALLOWED = {**EITHER, **UP_TO_THREE}
# Printed by two goroutines without an order between the lines.
UNORDERED = {'select_waits_for_receiver', 'message_passing'}
PROCS = '1', '2', '4'
# They sleep some milliseconds for others to come to where they wait, or compare times: on a busy machine that is
# sometimes too short, in Go as in C. Of so many runs some must be the same.
SLEEPING = {
    'buffered_send_does_not_wait', 'full_with_waiters', 'later_sleeper_earlier', 'receivers_are_fifo',
    'senders_are_fifo', 'sleep_of_nothing', 'sleeps_end_in_order', 'try_on_unbuffered', 'unbuffered_send_waits',
}
TRIES = 20


class Programs(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ours, source = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.theirs = os.path.join(cls.dir.name, 'programs')
        r = check.run(check.go(), 'build', '-o', cls.theirs, source, timeout=200, GOTOOLCHAIN='local', GO111MODULE='off')
        assert r.status == 0, str(r)
        cls.names = check.run(cls.theirs).out.split()

    def seen(self, program, name, **env):
        r = check.run(program, name, timeout=60, **env)
        out = sorted(r.out.splitlines()) if name in UNORDERED else r.out
        # What goes wrong: the first line, without what differs from machine to machine.
        err = r.err.splitlines()[:1]
        return r.status, out, err

    def same_at_last(self, name, procs, c, go):
        for _ in range(TRIES):
            for r in c:
                if r in go:
                    return r, r
            c.append(self.seen(self.ours, name, GORT_MAXPROCS=procs))
            go.append(self.seen(self.theirs, name, GOMAXPROCS=procs))
        return c[-1], go[-1]

    def test_both_have_the_same_programs(self):
        self.assertEqual(sorted(self.names), sorted(check.run(self.ours).out.split()))
        self.assertGreaterEqual(len(self.names), 60)

    def test_same_output_status_and_first_words_of_an_error(self):
        for name in sorted(self.names):
            for procs in PROCS:
                with self.subTest(name=name, procs=procs):
                    go = self.seen(self.theirs, name, GOMAXPROCS=procs)
                    c = self.seen(self.ours, name, GORT_MAXPROCS=procs)
                    if name in SLEEPING:
                        c, go = self.same_at_last(name, procs, [c], [go])
                    if name in ALLOWED:
                        self.assertEqual((go[0], go[2]), (c[0], c[2]))
                        self.assertIn(go[1], ALLOWED[name], 'Go')
                        self.assertIn(c[1], ALLOWED[name])
                    else:
                        self.assertEqual(c, go)

    def test_what_is_left_to_chance_comes_out_both_ways(self):
        for name in ('select_either_ready',):
            with self.subTest(name=name):
                seen = {check.run(self.ours, name).out for _ in range(40)}
                self.assertEqual(seen, EITHER[name])

    def test_errors_end_with_status_2(self):
        errors = [n for n in self.names if re.match(r'deadlock_|close_(under|twice|nil)|\w*send_on_closed', n)]
        self.assertGreater(len(errors), 15)
        for name in errors:
            with self.subTest(name=name):
                r = check.run(self.ours, name)
                self.assertStatus(r, 2)
                self.assertRegex(r.err, r'^(panic|fatal error): .+\n\ngoroutine \d+ \[')


def need_go():
    version = re.search(r'go(\d+)\.(\d+)', check.run(check.go(), 'version', GOTOOLCHAIN='local').out)
    if not version or (int(version[1]), int(version[2])) < OLDEST_GO:
        check.skip('go is older than %d.%d' % OLDEST_GO)


need_go()
check.main()
