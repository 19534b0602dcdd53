#!/usr/bin/env bash
# Installs what the interoperability tests drive: Debian's packages where that is allowed, else it names them, and the
# npm packages of package-lock.json. Quick when everything is there. It never fails: a test that finds its tool
# missing says so and is skipped.
set -uo pipefail
cd "$(dirname "$0")"

missing=()
need() { # command or file, package…
	command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("${@:2}")
}
PATH=$PATH:/usr/sbin:/sbin
need chromium chromium
need nginx nginx-light
need /usr/lib/postgresql postgresql
need haproxy haproxy
need redis-server redis-server
/usr/bin/python3 -c 'import socketio, requests, websocket' 2>/dev/null ||
	missing+=(python3-socketio python3-requests python3-websocket)
# The servers that python-socketio runs on.
/usr/bin/python3 -c 'import aiohttp, uvicorn, websockets, eventlet, werkzeug' 2>/dev/null ||
	missing+=(python3-aiohttp python3-uvicorn python3-websockets python3-eventlet python3-werkzeug)
# Clusters of them over Redis.
/usr/bin/python3 -c 'import redis, flask_socketio' 2>/dev/null || missing+=(python3-redis python3-flask-socketio)
# A machine that brings its own Node.js keeps it.
need node nodejs
need npm npm

if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing ${missing[*]}"
		export DEBIAN_FRONTEND=noninteractive
		# Daemons are run by the tests with configurations of their own, never by the system.
		policy=/usr/sbin/policy-rc.d
		if [ ! -e $policy ]; then
			printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
			trap 'rm -f $policy' EXIT
		fi
		{ apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"; } >/tmp/sockeye-apt.log 2>&1 || {
			echo "apt-get failed, see /tmp/sockeye-apt.log; the tests that need ${missing[*]} will be skipped"
		}
	else
		echo "not installed: ${missing[*]} — the tests that need them will be skipped (apt-get install ${missing[*]})"
	fi
fi

if command -v npm >/dev/null; then
	go run ./cmd/npm || echo "the tests that need npm packages will be skipped"
fi
exit 0
