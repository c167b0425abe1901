# SPDX-License-Identifier: BSD-3-Clause
"""wordfreq counts as a shell pipeline does, and names what it cannot count."""
import os
import random
import tempfile

import check


def write(directory, name, data):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data)
    return path


class Wordfreq(check.TestCase):
    def setUp(self):
        self.program, self.pipeline = check.arguments
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def counts(self, *paths, **env):
        r = check.run(self.program, '-n', 0, *paths, **env)
        return ''.join(' '.join(line.split()[:2]) + '\n' for line in r.out.splitlines()), r

    def assertSameCounts(self, *paths, **env):
        ours, r = self.counts(*paths, **env)
        theirs = check.run(self.pipeline, *paths).out
        self.assertGreater(len(theirs), 0)
        self.assertEqual(ours[:4000], theirs[:4000])
        self.assertTrue(ours == theirs, 'the counts differ further down')
        return r

    def test_machine_texts_count_as_by_the_pipeline(self):
        self.assertStatus(self.assertSameCounts(), 0)

    def test_random_text_with_every_byte_counts_as_by_the_pipeline(self):
        rng = random.Random(1)
        for i in range(40):
            data = bytes(rng.choice(b'abcXYZ' + bytes(range(1, 256))) for _ in range(rng.randrange(3000)))
            write(self.dir.name, 'd%d/e%d/f' % (i % 3, i), data)
        for i, edge in enumerate((b'', b'a', b'a\n', b'\n', b'No newline at the end', b'a' * 70000)):
            write(self.dir.name, 'edge%d' % i, edge)
        for procs in '1', '2', '8':
            self.assertStatus(self.assertSameCounts(self.dir.name, GORT_MAXPROCS=procs), 0)

    def test_collecting_all_the_time_changes_nothing(self):
        rng = random.Random(2)
        for i in range(30):
            words = ('%s' % ''.join(rng.choices('abcdefgh', k=rng.randrange(1, 5))) for _ in range(5000))
            write(self.dir.name, 'f%d' % i, ' '.join(words).encode())
        self.assertSameCounts(self.dir.name, GOGC='1')

    def test_top_prints_twenty_by_default_and_n_changes_it(self):
        write(self.dir.name, 'f', b' '.join(b'w' + bytes([97 + i]) for i in range(26)))
        self.assertEqual(len(check.run(self.program, self.dir.name).out.splitlines()), 20)
        self.assertEqual(len(check.run(self.program, '-n', 3, self.dir.name).out.splitlines()), 3)

    def test_index_lists_the_files_of_a_word(self):
        a = write(self.dir.name, 'a', b'gopher gopher')
        write(self.dir.name, 'b', b'nothing')
        c = write(self.dir.name, 'c', b'GOPHER')
        out = check.run(self.program, '-n', 1, '-w', 'gopher', self.dir.name).out.splitlines()
        self.assertEqual(out[0].split(), ['3', 'gopher', '2'])
        self.assertEqual(out[1], 'gopher: in 2 files')
        self.assertEqual(sorted(line.split() for line in out[2:]), [['1', c], ['2', a]])

    def test_missing_directory_is_named_and_the_rest_counts(self):
        write(self.dir.name, 'a', b'word')
        r = check.run(self.program, '/no/such/directory', self.dir.name)
        self.assertStatus(r, 1)
        self.assertIn('wordfreq: /no/such/directory: No such file or directory\n', r.err)
        self.assertEqual(r.out.split()[:2], ['1', 'word'])

    def test_binary_file_is_named_and_the_rest_counts(self):
        write(self.dir.name, 'a', b'word')
        binary = write(self.dir.name, 'b', b'words before\0and after')
        r = self.assertSameCounts(self.dir.name)
        self.assertStatus(r, 1)
        self.assertIn('wordfreq: %s: binary file' % binary, r.err)
        self.assertEqual(r.out.split()[:2], ['1', 'word'])

    def test_unreadable_file_is_named_and_the_rest_counts(self):
        write(self.dir.name, 'a', b'word')
        secret = write(self.dir.name, 'secret', b'word')
        os.chmod(secret, 0)
        os.chmod(self.dir.name, 0o755)
        cmd = [self.program, self.dir.name]
        if os.geteuid() == 0:  # root reads everything
            cmd = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] + cmd
        r = check.run(*cmd)
        if 'setpriv' in r.err or (r.status in (126, 127) and not r.out):
            self.skipTest('the program cannot be run without privileges from here')
        self.assertStatus(r, 1)
        self.assertIn('wordfreq: %s: Permission denied\n' % secret, r.err)
        self.assertEqual(r.out.split()[:2], ['1', 'word'])

    def test_file_argument_and_odd_names(self):
        path = write(self.dir.name, 'a b\nc', b'one two two')
        r = self.assertSameCounts(path)
        self.assertStatus(r, 0)

    def test_symbolic_links_inside_a_tree_are_not_followed(self):
        write(self.dir.name, 'a', b'word')
        os.symlink('a', os.path.join(self.dir.name, 'link'))
        os.symlink('.', os.path.join(self.dir.name, 'loop'))
        self.assertStatus(self.assertSameCounts(self.dir.name), 0)

    def test_usage(self):
        for bad in ('-n', 'x'), ('-r', '0'), ('-q',), ('-n', '-1'):
            r = check.run(self.program, *bad)
            self.assertStatus(r, 2)
            self.assertIn('usage: wordfreq', r.err)


check.main()
