#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# demo.sh [PATH...]: installs what is missing, builds, counts the words of all texts under PATH (the
# machine's own documentation) with a concurrent program on gort, and looks at what it left behind:
# gctrace lines on stderr, four profiles in out/wordfreq, and counts that a shell pipeline confirms.
set -eu
for p; do # the paths are the caller's, the rest happens at the project's root
	shift
	case $p in /*) set -- "$@" "$p" ;; *) set -- "$@" "$PWD/$p" ;; esac
done
cd "$(dirname "$0")/.."
. tools/lib.sh

need_packages $build_packages
need_go
say "building into build/"
configure build
build build

program=build/examples/wordfreq
out=out/wordfreq
rm -rf "$out"
mkdir -p "$out"

say "GORT_DEBUG=gctrace=1 $program ${*:-(the machine's documentation)}"
status=0
GORT_DEBUG=gctrace=1 GORT_CPUPROFILE=$out/cpu.pb.gz GORT_MEMPROFILE=$out/heap.pb.gz \
	GORT_GOROUTINEPROFILE=$out/goroutine.pb.gz GORT_MUTEXPROFILE=$out/mutex.pb.gz \
	"$program" "$@" || status=$?
if [ "$status" -gt 1 ]; then
	say "wordfreq failed (status $status)"
	exit 1
fi
[ "$status" = 0 ] || say "wordfreq could not count the files it named (status 1)"

failed=0
for kind in cpu heap goroutine mutex; do
	say "go tool pprof -top $out/$kind.pb.gz"
	go tool pprof -top -nodecount=15 "$out/$kind.pb.gz" 2>"$out/pprof.err" || {
		cat "$out/pprof.err" >&2
		failed=1
	}
done

say "all counts, against examples/wordfreq/count.sh (find, grep, tr, sort, uniq)"
"$program" -n 0 "$@" 2>/dev/null | awk '{ print $1, $2 }' >"$out/counts.gort" || true
examples/wordfreq/count.sh "$@" >"$out/counts.shell"
if cmp -s "$out/counts.gort" "$out/counts.shell"; then
	echo "equal: $(wc -l <"$out/counts.shell") different words"
else
	echo "DIFFERENT: compare $out/counts.gort and $out/counts.shell"
	failed=1
fi
exit "$failed"
