# SPDX-License-Identifier: BSD-3-Clause
"""Only gort_ and rt_ names leave the libraries."""
import re
import shutil

import check

# Calls that are never restarted after a signal: libgort defines them over libc's (docs/HACKING.md).
WRAPPED = {'nanosleep', 'clock_nanosleep', 'usleep', 'sleep', 'poll', 'ppoll', 'select', 'pselect', 'epoll_wait',
           'epoll_pwait'}
ALLOWED = re.compile(r'^(gort_|rt_)')


class Symbols(check.TestCase):
    def test_exported_names(self):
        if not shutil.which('nm'):
            check.skip('no nm')
        for library in check.arguments:
            flags = ['-D'] if '.so' in library else []
            r = check.run('nm', *flags, '--defined-only', '--extern-only', library)
            self.assertStatus(r, 0)
            names = {line.split()[-1].split('@')[0] for line in r.out.splitlines() if len(line.split()) == 3}
            self.assertTrue(any(n.startswith('gort_') for n in names), library)
            self.assertEqual({n for n in names if not ALLOWED.match(n)} - WRAPPED, set(), library)


check.main()
