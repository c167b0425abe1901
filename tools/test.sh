#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# test.sh [quick]: installs what is missing, builds and runs every test, and ends with a line
# "N passed, N failed[, N skipped]" and a matching exit status. The builds:
#
#   build        gcc, -Werror: unit, stress, conformance and integration tests
#   build-clang  clang, -Werror: compiles; unit tests
#   build-asan   gcc, ASan and UBSan: unit and stress tests
#   build-tsan   clang, TSan: stress tests (Criterion does not start under TSan)
#
# quick: the first build's unit tests alone.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/lib.sh

need_packages $build_packages $test_packages || exit 1
need_go || say "no go: the tests that need it will be skipped"
results=build/test-results
mkdir -p build
rm -rf "$results"
mkdir -p "$results"

# variant NAME COMPILER "MESON OPTIONS" [SUITE...]: a build that fails is one failed test.
variant() {
	name=$1 cc=$2 options=$3
	shift 3
	say "$name: $cc $options"
	start=$(date +%s)
	if ! (CC=$cc && export CC && configure "$name" $options) || ! build "$name"; then
		echo "build" >"$results/$name.failed"
		return
	fi
	suites=
	for s; do
		suites="$suites --suite $s"
	done
	meson test -C "$name" --no-rebuild --print-errorlogs -q $suites >&2
	cp "$name/meson-logs/testlog.json" "$results/$name.json"
	say "$name took $(($(date +%s) - start)) s"
}

export ASAN_OPTIONS='use_sigaltstack=0:detect_stack_use_after_return=0:detect_leaks=0'
export UBSAN_OPTIONS='print_stacktrace=1:halt_on_error=1'
export TSAN_OPTIONS='halt_on_error=1:second_deadlock_stack=1'

if [ "${1-}" = quick ]; then
	variant build gcc "-Dwerror=true" unit
else
	variant build gcc "-Dwerror=true" unit stress conformance integration
	variant build-clang clang "-Dwerror=true" unit
	variant build-asan gcc "-Db_sanitize=address,undefined -Dbench=false" unit stress
	variant build-tsan clang "-Db_sanitize=thread -Db_lundef=false -Dbench=false -Dexamples=false" stress
fi
exec python3 tests/summary.py "$results"
