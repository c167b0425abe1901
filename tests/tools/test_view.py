# SPDX-License-Identifier: BSD-3-Clause
"""The command line of gort top, diff and flame: options, input in all its forms, one line for bad input."""
import gzip
import os
import subprocess
import tempfile

import check
import pb


class View(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gort, = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.profile = pb.Profile([('n', 'count'), ('space', 'bytes')])
        cls.profile.add([('leaf', 'outer'), 'main'], [3, 3 << 20])
        cls.profile.add(['main'], [1, 512])
        cls.good = cls.profile.write(os.path.join(cls.dir.name, 'good.pb.gz'))

    def file(self, name, data):
        path = os.path.join(self.dir.name, name)
        with open(path, 'wb') as f:
            f.write(data)
        return path

    def gort_run(self, *args):
        return check.run(self.gort, *args)

    def test_plain_and_stdin_are_the_same(self):
        plain = self.file('plain.pb', self.profile.raw())
        expected = self.gort_run('top', self.good)
        self.assertStatus(expected, 0)
        self.assertRegex(expected.out, r'\n +3072kB +100% +100% +3072kB +100%  leaf \(inline\)\n')
        self.assertEqual(self.gort_run('top', plain).out, expected.out)
        p = subprocess.run([self.gort, 'top', '-'], input=self.profile.raw(), stdout=subprocess.PIPE)
        self.assertEqual(p.stdout.decode(), expected.out)

    def test_options_with_one_dash_or_two_anywhere(self):
        one = self.gort_run('top', '-cum', '-n', '1', '-sample_index=n', self.good)
        self.assertStatus(one, 0)
        self.assertRegex(one.out, r'Type: n\n(.*\n)*Showing top 1 nodes out of 3\n')
        self.assertRegex(one.out.splitlines()[-1], r'^ +1 25.00% 25.00% +4   100%  main$')
        self.assertEqual(self.gort_run('top', self.good, '--n=1', '--sample_index', '0', '--cum').out, one.out)

    def test_wrong_command_lines(self):
        for args in (), ('nothing',), ('top',), ('top', self.good, self.good), ('diff', self.good), ('flame', self.good), \
                ('top', '-n', 'x', self.good), ('top', '-n', '-3', self.good), ('top', '-o', 'x', self.good), \
                ('top', '-sample_index', 'speed', self.good), ('top', '-sample_index', '2', self.good):
            with self.subTest(args=args):
                r = self.gort_run(*args)
                self.assertStatus(r, 2)
                self.assertEqual(r.out, '')
                self.assertIn('gort', r.err)
        self.assertIn('has n, space', self.gort_run('top', '-sample_index', 'speed', self.good).err)

    def test_help(self):
        for command in 'top', 'diff', 'flame':
            r = self.gort_run(command, '-help')
            self.assertStatus(r, 0)
            self.assertTrue(r.out.startswith('usage: gort %s ' % command), str(r))
            self.assertIn('  %s ' % command, self.gort_run('help').out)

    def test_bad_input_gets_one_line(self):
        raw = self.profile.raw()
        packed = gzip.compress(raw)
        no_types = pb.Profile([])
        no_types.add(['main'], [])
        other = pb.Profile([('n', 'count')])
        many = pb.Profile([('t%d' % i, 'count') for i in range(17)])
        deep = pb.Profile([('n', 'count')])
        start = len(deep.body)
        deep.add([tuple('f%d' % j for j in range(1000))] * 1000, [1])
        deep.body += bytes(deep.body[start:]) * 299
        cases = {
            'empty': b'', 'text': b'hello, world\n', 'truncated.gz': packed[:-20],
            'broken.gz': packed[:30] + bytes([packed[30] ^ 255]) + packed[31:],
            'trailing.gz': packed + b'garbage', 'twice.gz': packed + packed, 'twice': raw + raw,
            'cut': raw[:-3], 'inner': gzip.compress(b'no profile'),
            'no_location': raw.replace(pb.block(2, pb.block(1, b'\x02') + pb.block(2, pb.varint(1) + pb.varint(512))),
                                       pb.block(2, pb.block(1, b'\x09') + pb.block(2, pb.varint(1) + pb.varint(512)))),
            'no_values': raw + pb.block(2, pb.block(1, b'\x01')), 'no_types': no_types.raw(), 'many': many.raw(),
            'deep': deep.raw(),
        }
        for name, data in cases.items():
            with self.subTest(name=name):
                self.assertNotEqual(data, raw)
                r = self.gort_run('top', self.file(name, data))
                self.assertStatus(r, 1)
                self.assertEqual(r.out, '')
                self.assertRegex(r.err, r'\Agort: \S*/%s: [^\n]+\n\Z' % name)
        r = self.gort_run('diff', self.good, self.file('other', other.raw()))
        self.assertStatus(r, 1)
        self.assertRegex(r.err, r'\Agort: \S*/good.pb.gz: its sample types [^\n]+\n\Z')
        self.assertRegex(self.gort_run('top', self.dir.name + '/none').err, r'\Agort: \S*/none: No such file.*\n\Z')
        self.assertRegex(self.gort_run('top', self.dir.name).err, r'\Agort: \S+: cannot read it.*\n\Z')

    def test_names_cannot_reach_the_terminal_as_commands(self):
        p = pb.Profile([('n', 'count')])
        p.add(['a\x1b[2Jb', 'c\x7f\u0085d', 'gut \u00fc \u20ac'], [1])
        raw = p.raw().replace(b'a\x1b[2J', b'a\xff\x1b[2')  # not UTF-8
        r = self.gort_run('top', self.file('names', raw))
        self.assertStatus(r, 0)
        self.assertIn('  a??[2b\n', r.out)
        self.assertIn('  c???d\n', r.out)  # the last one has two bytes
        self.assertIn('  gut \u00fc \u20ac\n', r.out)

    def test_output_that_cannot_be_written(self):
        r = self.gort_run('flame', self.good, '-o', '/nowhere/out.html')
        self.assertStatus(r, 1)
        self.assertRegex(r.err, r'\Agort: /nowhere/out.html: No such file or directory\n\Z')
        if os.path.exists('/dev/full'):
            self.assertStatus(self.gort_run('flame', self.good, '-o', '/dev/full'), 1)


check.main()
