#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What wordfreq prints, by other means: `count.sh [PATH...]` writes "count word" for every word, the
# most frequent first. One pipeline: the text files, their lines, one word a line, counted.
LC_ALL=C
export LC_ALL
if [ $# -eq 0 ]; then
	set -- /usr/share/doc /usr/share/common-licenses
	names='.*\.\(gz\|bz2\|xz\|zst\|zip\|png\|gif\|jpeg\|jpg\|ico\|pdf\)'
fi
find -H "$@" -type f ! -iregex "${names-}" -print0 | xargs -0r grep -LZaP '\x00' | xargs -0r grep -ah '' |
	tr A-Z a-z | tr -cs a-z '\n' | grep . | sort | uniq -c | sort -k1,1nr -k2,2 | awk '{ print $1, $2 }'
