# SPDX-License-Identifier: BSD-3-Clause
"""Programming errors: Go's message first, then a traceback that names the culprit, status 2."""
import os
import re
import tempfile
import time

import check

HEADER = re.compile(r'^goroutine \d+ \[[^\]]+\]:$', re.M)

# name: (text that stderr begins with, function in the traceback, state of that goroutine)
CASES = {
    'send_on_closed': ('panic: send on closed channel\n', 'send_on_closed', 'running'),
    'close_closed': ('panic: close of closed channel\n', 'close_closed', 'running'),
    'close_nil': ('panic: close of nil channel\n', 'close_nil', 'running'),
    'unlock_unlocked': ('fatal error: sync: unlock of unlocked mutex\n', 'unlock_unlocked', 'running'),
    'negative_waitgroup': ('panic: sync: negative WaitGroup counter\n', 'negative_waitgroup', 'running'),
    'deadlock': ('fatal error: all goroutines are asleep - deadlock!\n', 'deadlock', 'chan receive'),
    'nil_dereference': ('panic: runtime error: invalid memory address or nil pointer dereference\n'
                        '[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x',
                        'nil_dereference', 'running'),
    'wild_pointer': ('unexpected fault address 0x123456789000\nfatal error: fault\n'
                     '[signal SIGSEGV: segmentation violation code=0x1 addr=0x123456789000 pc=0x', 'wild_pointer', 'running'),
    'non_canonical': ('unexpected fault address 0x0\nfatal error: fault\n'
                      '[signal SIGSEGV: segmentation violation code=0x80 addr=0x0 pc=0x', 'non_canonical', 'running'),
    'divide_by_zero': ('panic: runtime error: integer divide by zero\n'
                       '[signal SIGFPE: floating-point exception code=0x1 addr=0x', 'divide_by_zero', 'running'),
    'killed': ('SIGSEGV: segmentation violation\nPC=0x', 'killed', 'running'),
    'index_out_of_range': ('panic: runtime error: index out of range [5] with length 3\n',
                           'index_out_of_range', 'running'),
    'slice_bounds': ('panic: runtime error: slice bounds out of range [:5] with capacity 3\n',
                     'slice_bounds', 'running'),
    'nil_map_write': ('panic: assignment to entry in nil map\n', 'nil_map_write', 'running'),
    'negative_chan': ('panic: makechan: size out of range\n', 'negative_chan', 'running'),
    'own_panic': ('panic: boom 42\n', 'own_panic', 'running'),
    'own_fatal': ('fatal error: out of luck\n', 'own_fatal', 'running'),
    'panic_in_goroutine': ('panic: on another goroutine\n', 'panic_elsewhere', 'running'),
}


class Fatal(check.TestCase):
    def crash(self, name, **env):
        r = check.run(check.arguments[0], name, **env)
        self.assertStatus(r, 2)
        return r

    def block_of(self, r, function):
        """The traceback's goroutine that has function."""
        at = [m.start() for m in HEADER.finditer(r.err)] + [len(r.err)]
        for lo, hi in zip(at, at[1:]):
            if re.search(r'^%s(?:\.\w+)*\(' % function, r.err[lo:hi], re.M):
                return r.err[lo:hi]
        self.fail('no goroutine has %s: %s' % (function, r))

    def test_message_traceback_and_status(self):
        for name, (message, function, state) in CASES.items():
            with self.subTest(name=name):
                r = self.crash(name)
                self.assertEqual(r.err[:len(message)], message, str(r))
                block = self.block_of(r, function)
                self.assertRegex(block, r'^goroutine \d+ \[%s[^\]]*\]:\n' % re.escape(state))

    def test_frames_say_where(self):
        block = self.block_of(self.crash('send_on_closed'), 'send_on_closed')
        self.assertRegex(block, r'(?m)^send_on_closed\(.*\)\n\t\S*fatal(\.c:\d+)? \+0x[0-9a-f]+$')
        self.assertRegex(block, r'(?m)^app\(.*\)\n\t')

    def test_files_and_lines(self):
        block = self.block_of(self.crash('send_on_closed'), 'send_on_closed')
        self.assertRegex(block, r'(?m)^send_on_closed\(\.\.\.\)\n\t\S+/fatal\.c:\d+ \+0x[0-9a-f]+$')
        r = self.crash('panic_in_goroutine')
        self.assertRegex(r.err, r'(?m)^created by panic_in_goroutine in goroutine 1\n\t\S+/fatal\.c:\d+ \+0x[0-9a-f]+$')

    def test_without_the_symbolizer(self):
        """It is missing, broken, too slow, or unwanted: names and the module's path instead, soon enough."""
        with tempfile.TemporaryDirectory() as d:
            helpers = {}
            for name, script in (('broken', 'exit 1'), ('slow', 'exec sleep 100'), ('chatty', 'exec yes')):
                helpers[name] = os.path.join(d, name)
                with open(helpers[name], 'w') as f:
                    f.write('#!/bin/sh\n%s\n' % script)
                os.chmod(helpers[name], 0o755)
            for env in ({'GORT_SYMBOLIZE': 'none'}, {'GORT_SYMBOLIZER': '/nonexistent'},
                        *({'GORT_SYMBOLIZER': h} for h in helpers.values())):
                with self.subTest(env=env):
                    start = time.time()
                    block = self.block_of(self.crash('send_on_closed', **env), 'send_on_closed')
                    self.assertLess(time.time() - start, 50)
                    self.assertRegex(block, r'(?m)^send_on_closed\(\.\.\.\)\n\t\S*/fatal \+0x[0-9a-f]+$')

    def test_stack_overflow(self):
        r = self.crash('overflow')
        self.assertRegex(r.err, r'^runtime: goroutine stack exceeds \d+-byte limit\n')
        self.assertIn('fatal error: stack overflow\n', r.err)
        self.block_of(r, 'recurse')
        self.assertLess(len(r.err), 64 << 10, 'the middle of a deep stack is left out')

    def test_deadlock_shows_all_goroutines(self):
        r = self.crash('deadlock_of_three')
        self.assertTrue(r.err.startswith('fatal error: all goroutines are asleep - deadlock!\n'), str(r))
        self.assertIn('[sync.Mutex.Lock]:', self.block_of(r, 'deadlock_of_three'))
        self.assertIn('[sync.Mutex.Lock]:', self.block_of(r, 'wait_too'))
        self.assertIn('[select (no cases)]:', r.err)

    def test_goroutines_are_paragraphs(self):
        """Also the scheduling stack of the thread that found the deadlock."""
        err = self.crash('deadlock_of_three', GORT_TRACEBACK='system').err
        self.assertRegex(err, r'(?m)^goroutine 0 \[idle\]:')
        self.assertGreaterEqual(len(re.findall(r'\n\ngoroutine ', err)), 4)
        self.assertEqual(re.findall(r'[^\n]\ngoroutine ', err), [])

    def test_traceback_levels(self):
        one = self.crash('panic_in_goroutine')
        self.assertEqual(len(HEADER.findall(one.err)), 1, str(one))
        everyone = self.crash('panic_in_goroutine', GORT_TRACEBACK='all')
        self.assertGreaterEqual(len(HEADER.findall(everyone.err)), 2, str(everyone))
        none = self.crash('panic_in_goroutine', GORT_TRACEBACK='none')
        self.assertEqual(len(HEADER.findall(none.err)), 0, str(none))

    def test_a_goroutine_must_not_leave_its_stack(self):
        r = self.crash('jumped', GORT_MAXPROCS='1')
        self.assertTrue(r.err.startswith("fatal error: a goroutine left its stack (longjmp to another's, or a "
                                         "stack of the program's own)\n"), str(r))

    def test_a_goroutine_must_not_end_its_thread(self):
        for name in 'thread_ended', 'thread_cancelled':
            for procs in '1', '2':
                r = self.crash(name, GORT_MAXPROCS=procs)
                self.assertTrue(r.err.startswith('fatal error: a goroutine ended its thread (pthread_exit or '
                                                 'pthread_cancel)\n'), str(r))

    def test_stdout_is_flushed_on_a_panic(self):
        self.assertEqual(self.crash('panic_in_goroutine').out, 'buffered before the panic\n')


check.main()
