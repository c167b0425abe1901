# SPDX-License-Identifier: BSD-3-Clause
"""embed.py HTML CSS JS: the page as three C arrays on stdout, cut where the title and the data go."""
import sys

html, css, js = (open(path, encoding='utf-8').read() for path in sys.argv[1:4])


def comment_free(text):
    """Without the licence line, which stands in the page once."""
    return text.split('\n', 1)[1]


page = html.replace('@CSS@', comment_free(css)).replace('@JS@', comment_free(js))
head, rest = page.split('@TITLE@')
middle, tail = rest.split('@DATA@')
print('// Made by embed.py of %s.' % ', '.join(path.rsplit('/', 1)[-1] for path in sys.argv[1:4]))
for name, text in ('head', head), ('middle', middle), ('tail', tail):
    data = text.encode() + b'\0'
    print('static const char page_%s[] = {' % name)
    for i in range(0, len(data), 24):
        print('\t' + ''.join('%d,' % (b if b < 128 else b - 256) for b in data[i:i + 24]))
    print('};')
