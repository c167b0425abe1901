# SPDX-License-Identifier: BSD-3-Clause
# For the scripts beside it, not a program: what they all need of the machine. Sourced with the working
# directory at the project's root.

build_packages='gcc libc6-dev meson ninja-build pkgconf python3 libunwind-dev libprotobuf-c-dev
	protobuf-c-compiler zlib1g-dev libdw-dev libelf-dev libmicrohttpd-dev'
# The second line: programs that are run under gort run (tests/native/test_programs.py).
test_packages='clang libclang-rt-14-dev libcriterion-dev binutils procps spin chromium valgrind
	xz-utils sqlite3 redis-server redis-tools nginx-light wrk postgresql'

say() {
	printf '\n== %s\n' "$*" >&2
}

# missing PACKAGE...: those that are not installed.
missing() {
	for p; do
		dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed$' || echo "$p"
	done
}

# install_packages PACKAGE...: by apt, without questions. Servers among them are not started: the tests start
# their own.
install_packages() {
	sudo=
	[ "$(id -u)" = 0 ] || sudo='sudo -n'
	policy=/usr/sbin/policy-rc.d
	[ ! -e "$policy" ] || policy=
	[ -z "$policy" ] || printf '#!/bin/sh\nexit 101\n' | $sudo install -m 755 /dev/stdin "$policy"
	$sudo apt-get update -qq >&2
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
	status=$?
	[ -z "$policy" ] || $sudo rm -f "$policy"
	return $status
}

# need_packages PACKAGE...: installs what is missing. Does nothing else when all is there; where apt is
# not, says what the machine should have and lets the build find out.
need_packages() {
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		say "no apt here; needed are what Debian calls:" "$@"
		return 0
	fi
	wanted=$(missing "$@")
	[ -n "$wanted" ] || return 0
	say "installing" $wanted
	install_packages $wanted
}

# need_go: a go on PATH is used as it is; otherwise one in the usual place, otherwise Debian's.
need_go() {
	command -v go >/dev/null && return 0
	if [ -x /usr/local/go/bin/go ]; then
		PATH=$PATH:/usr/local/go/bin
		export PATH
		return 0
	fi
	need_packages golang-go
	command -v go >/dev/null
}

# configure DIR [MESON OPTION...]: once; meson keeps the options afterwards.
configure() {
	dir=$1
	shift
	[ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" >&2
}

# build DIR: quietly; all that was printed when it fails.
build() {
	if ! log=$(ninja -C "$1" 2>&1); then
		printf '%s\n' "$log" >&2
		return 1
	fi
}
