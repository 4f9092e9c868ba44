#!/usr/bin/env bash
# Makes the samples beside this file anew: a subset of the Salamander Grand Piano, taken from npm.
# Needs npm and ffmpeg (apt-get install npm ffmpeg). README.md says what was chosen and why.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

version=1.0.5
names=(C C# D D# E F F# G G# A A# B)

make_layer() { # name of ours, layer of Salamander's sixteen
    npm pack --silent "@audio-samples/piano-velocity$2@$version" >/dev/null
    tar xzf "audio-samples-piano-velocity$2-$version.tgz"
    for ((pitch = 21; pitch <= 108; pitch += 3)); do
        source="package/audio/${names[pitch % 12]}$((pitch / 12 - 1))v$2.ogg"
        # Low strings ring longest. The last third fades, so that no sample ends with a click.
        read -r length fade_at fade < <(awk -v p="$pitch" 'BEGIN {
            length_s = 10 * 2 ^ ((21 - p) / 36); print length_s, length_s * 2 / 3, length_s / 3 }')
        ffmpeg -nostdin -loglevel error -y -i "$source" -map_metadata -1 -af \
            "silenceremove=start_periods=1:start_threshold=-48dB,atrim=end=$length,afade=out:st=$fade_at:d=$fade:curve=qsin" \
            -c:a libopus -b:a 96k -vbr on "$here/$1-$pitch.opus"
    done
    rm -rf package
}

make_layer soft 5
make_layer loud 12
