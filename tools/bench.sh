#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# bench.sh [--count N] [--cpu 1,2] [--benchtime T] [--json] [REGEX]: runs gort's benchmarks and Go's in
# turn (gort, Go, gort, Go, ...) and prints one table. What its columns say: bench/compare.py.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

need_packages $build_packages
need_go
version=$(go version)
minor=$(printf '%s\n' "$version" | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
if [ "${minor:-99}" -lt 22 ]; then
	echo "bench.sh: $version is too old for bench/peers/go, which needs 1.22" >&2
	exit 1
fi
configure build
build build

# Go's side is built once for each version of it.
go=build/bench/go
mkdir -p "$go"
for dir in bench/peers/go/*/; do
	name=$(basename "$dir")
	program=$PWD/$go/$name.test
	if [ ! -x "$program" ] || [ "$(cat "$go/version" 2>/dev/null)" != "$version" ] ||
		[ "$dir${name}_test.go" -nt "$program" ]; then
		(cd bench/peers/go && go test -c -o "$program" "./$name")
	fi
done
printf '%s\n' "$version" >"$go/version"

case " $* " in
*" --json "*) ;;
*)
	echo "$version; gort $(git describe --always --dirty 2>/dev/null || echo unversioned); $(nproc) CPUs"
	echo
	;;
esac
exec python3 bench/compare.py --gort build/bench --go "$go" "$@"
