# SPDX-License-Identifier: BSD-3-Clause
"""Profiles made by hand: a writer of profile.proto as small as the tests need; and what reads varints."""
import gzip


class Reader:
    """Takes bytes from the front of data."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        v = shift = 0
        while True:
            byte = self.take(1)[0]
            v |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return v


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def number(field, v):
    return varint(field << 3) + varint(v)


def block(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


class Profile:
    """types: [(type, unit)]. add() takes a stack of locations, the leaf first; a location is a name, a
    tuple of names (inlined ones first), or None for an address in the mapping that nothing names."""

    def __init__(self, types, default=None, time=0, duration=0, comments=(), program='/usr/bin/prog'):
        self.strings, self.functions, self.locations = {'': 0}, {}, {}
        self.body, self.tables = bytearray(), bytearray()
        for t, u in types:
            self.body += block(1, number(1, self.string(t)) + number(2, self.string(u)))
        self.body += block(3, number(1, 1) + number(2, 0x400000) + number(3, 0x500000) +
                           number(5, self.string(program)) + number(6, self.string('abcd0123')))
        if time:
            self.body += number(9, time)
        if duration:
            self.body += number(10, duration)
        for c in comments:
            self.body += number(13, self.string(c))
        if default:
            self.body += number(14, self.string(default))

    def string(self, s):
        return self.strings.setdefault(s, len(self.strings))

    def function(self, name):
        if name not in self.functions:
            i = self.functions[name] = len(self.functions) + 1
            self.tables += block(5, number(1, i) + number(2, self.string(name)) + number(3, self.string(name)))
        return self.functions[name]

    def location(self, names):
        if names not in self.locations:
            i = self.locations[names] = len(self.locations) + 1
            lines = b''.join(block(4, number(1, self.function(n)) + number(2, 7))
                             for n in ((names,) if isinstance(names, str) else names or ()))
            self.tables += block(4, number(1, i) + number(2, 1) + number(3, 0x400000 + 16 * i) + lines)
        return self.locations[names]

    def add(self, stack, values):
        ids = b''.join(varint(self.location(l)) for l in stack)
        self.body += block(2, block(1, ids) + block(2, b''.join(varint(v) for v in values)))

    def raw(self):
        table = sorted(self.strings, key=self.strings.get)
        return bytes(self.body + self.tables + b''.join(block(6, s if isinstance(s, bytes) else s.encode())
                                                       for s in table))

    def write(self, path, packed=True):
        with open(path, 'wb') as f:
            f.write(gzip.compress(self.raw(), 1, mtime=0) if packed else self.raw())
        return path
