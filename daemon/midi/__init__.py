"""The two ports: bytes in, bytes out, each at its moment.

`ports` opens them, `input` and `output` are the threads at them, `schedule` holds the laws of
sending and `sending` carries them out. The stage starts these; whoever plays MIDI of its own takes
`ports`.
"""
