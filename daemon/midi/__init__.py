"""The two ports: bytes in, bytes out, each at its moment.

In: `ports` opens them, `input` is the thread that polls, `listener` says when what was played, and
`parser` what it means. Out: `output` is the thread that sends, `schedule` holds the laws, `sending`
carries them out, and `beside` is what leaves beside the answer. The stage starts these; whoever
plays MIDI of its own takes `ports`.
"""
