#!/usr/bin/env bash
# Runs a command with a JACK server of its own: no sound card, no real-time rights, no PulseAudio.
#
#     tests/support/tools/with_jack.sh COMMAND [ARGUMENT...]
#
# Exit code: the command's; 124 when it ran longer than JACK_TEST_TIMEOUT_S; 125 without a server.
# The server is called JACK_TEST_SERVER (default: performer-test); of one name there is one at a time.
# The server's own messages go to JACK_TEST_LOG (default: nowhere). It waits for a client that does
# not answer ten times JACK_TEST_CLIENT_TIMEOUT_MS (default: 2,000 ms).
set -uo pipefail

# Few fixed names: JACK knows eight at most, and forgets none that ended uncleanly.
export JACK_DEFAULT_SERVER=${JACK_TEST_SERVER:-performer-test}
export JACK_NO_START_SERVER=1 JACK_NO_AUDIO_RESERVATION=1
shm=/dev/shm
log=${JACK_TEST_LOG:-/dev/null}

main() {
    (($# > 0)) || fail "usage: with_jack.sh COMMAND [ARGUMENT...]"
    need jackd jack_lsp flock timeout
    exec 9>"${TMPDIR:-/tmp}/$JACK_DEFAULT_SERVER.$UID.lock"
    flock --wait 900 9 || fail "another run has held the JACK server for 15 minutes"
    start_server
    trap stop_server EXIT
    timeout --kill-after=10 "${JACK_TEST_TIMEOUT_S:-900}" "$@" 9>&-
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install jackd2 util-linux coreutils"
    done
}

# Synchronous (-S): otherwise a client that is late loses MIDI messages, or gets them twice.
# At most 64 ports: the default takes 107 MB of shared memory, and containers often have 64.
start_server() {
    jackd --no-realtime --sync --timeout "${JACK_TEST_CLIENT_TIMEOUT_MS:-2000}" --port-max 64 --name "$JACK_DEFAULT_SERVER" \
        -d dummy --rate 48000 --period 64 --capture 0 --playback 0 >"$log" 2>&1 9>&- &
    server=$!
    local attempt
    for attempt in {1..100}; do
        timeout 5 jack_lsp >/dev/null 2>&1 9>&- && return
        kill -0 "$server" 2>/dev/null || fail "jackd ended at once; see JACK_TEST_LOG"
        sleep 0.1
    done
    stop_server
    fail "jackd did not answer within 10 seconds (${attempt} attempts)"
}

# After a client died without closing, a synchronous server no longer obeys SIGTERM.
stop_server() {
    kill "$server" 2>/dev/null
    local attempt
    for attempt in {1..30}; do
        kill -0 "$server" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "with_jack: jackd ignores SIGTERM after ${attempt} attempts, killing it" >&2
    kill -KILL "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    remove_leftovers
}

# Segments of a killed server stay in memory. Their names do not tell whose they are, so they are
# left alone while any other server runs.
remove_leftovers() {
    rm -f "$shm/jack_${JACK_DEFAULT_SERVER}_"* "$shm/jack_sem.${UID}_${JACK_DEFAULT_SERVER}_"*
    pgrep -x jackd >/dev/null || rm -f "$shm/jack-${UID}-"*
}

fail() {
    echo "with_jack: $*" >&2
    exit 125
}

main "$@"
