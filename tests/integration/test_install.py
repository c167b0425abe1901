# SPDX-License-Identifier: BSD-3-Clause
"""`meson install`, then a program built with nothing but pkg-config's flags, shared and static."""
import os
import shlex
import shutil
import tempfile

import check


class Install(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.meson, cls.build, cls.source, cls.prefix = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        r = check.run(cls.meson, 'install', '-C', cls.build, '--no-rebuild', '--destdir', cls.dir.name)
        assert r.status == 0, str(r)
        cls.root = cls.dir.name + cls.prefix
        found = [d for d, _, files in os.walk(cls.root) if 'gort.pc' in files]
        assert len(found) == 1, found
        cls.pc = found[0]

    def flags(self, *what, package='gort'):
        r = check.run('pkg-config', '--define-variable=prefix=' + self.root, *what, package, PKG_CONFIG_PATH=self.pc)
        self.assertStatus(r, 0)
        return shlex.split(r.out)

    def compile(self, name, flags, source='examples/first.c', compiler=('cc',)):
        out = os.path.join(self.dir.name, name)
        source = os.path.join(self.source, source)
        r = check.run(*compiler, '-O2', '-g', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror', source, '-o', out,
                      *flags)
        self.assertStatus(r, 0)
        return out

    def library_path(self):
        return os.path.dirname(self.pc)

    def test_shared(self):
        self.assertIn('-fstack-clash-protection', self.flags('--cflags'))
        program = self.compile('shared', self.flags('--cflags', '--libs'))
        r = check.run(program, LD_LIBRARY_PATH=self.library_path())
        self.assertStatus(r, 0)
        self.assertIn('81', r.out.split())

    def test_switches_work_without_a_line_of_code(self):
        program = self.compile('switches', self.flags('--cflags', '--libs'))
        profile = os.path.join(self.dir.name, 'goroutine.pb.gz')
        r = check.run(program, LD_LIBRARY_PATH=self.library_path(), GORT_GOROUTINEPROFILE=profile)
        self.assertEqual((r.status, r.err), (0, ''))
        with open(profile, 'rb') as f:
            self.assertEqual(f.read(2), b'\x1f\x8b')

    def test_cplusplus(self):
        compilers = [c for c in ('g++', 'clang++') if shutil.which(c)]
        if not compilers:
            self.skipTest('no C++ compiler')
        for compiler in compilers:
            other = os.path.join(self.source, 'tests/integration/cplusplus_other.cc')
            program = self.compile('cplusplus', [other, *self.flags('--cflags', '--libs')],
                                   'tests/integration/cplusplus.cc',
                                   (compiler, '-std=gnu++17', '-Wno-missing-field-initializers'))
            r = check.run(program, LD_LIBRARY_PATH=self.library_path())
            self.assertEqual((r.status, r.out), (0, '5 5 x1.500000 1 4\n'), str(r))

    def test_static(self):
        libs = [f if f not in ('-lgort', '-lgort-profiler') else '-l:lib%s.a' % f[2:]
                for f in self.flags('--cflags', '--libs', '--static')]
        r = check.run(self.compile('static', libs))
        self.assertStatus(r, 0)
        self.assertIn('81', r.out.split())

    # A program that has nothing of gort but the profiler.
    def test_profiler_alone(self):
        shared = self.flags('--cflags', '--libs', package='gort-profiler')
        static = [f.replace('-lgort-profiler', '-l:libgort-profiler.a')
                  for f in self.flags('--cflags', '--libs', '--static', package='gort-profiler')]
        self.assertNotIn('-lgort', shared)
        for name, flags in (('linked', shared), ('linked_static', static)):
            program = self.compile(name, ['-D_GNU_SOURCE', *flags, '-pthread'], 'tests/native/linked.c')
            cpu, wall = (os.path.join(self.dir.name, name + f) for f in ('.cpu.pb.gz', '.wall.pb.gz'))
            r = check.run(program, cpu, wall, LD_LIBRARY_PATH=self.library_path())
            self.assertEqual((r.status, r.out), (0, 'linked\n'), str(r))
            for f, function in ((cpu, ' burn'), (wall, ' waiting_room')):
                r = check.run(os.path.join(self.root, 'bin', 'gort'), 'top', f)
                self.assertIn(function, r.out)

    def test_headers(self):
        headers = os.path.join(self.root, 'include')
        self.assertTrue(os.path.exists(os.path.join(headers, 'gort.h')))
        self.assertGreaterEqual(set(os.listdir(os.path.join(headers, 'gort'))),
                                {'base.h', 'chan.h', 'map.h', 'mem.h', 'pprof.h', 'sched.h', 'slice.h', 'string.h',
                                 'sync.h', 'time.h', 'type.h'})

    def test_command(self):
        profile = os.path.join(self.source, 'tests/fuzz/corpus/go_cpu.pb')
        r = check.run(os.path.join(self.root, 'bin', 'gort'), 'top', profile)
        self.assertStatus(r, 0)
        self.assertTrue(r.out.startswith('File: demo\n'), str(r))


check.main()
