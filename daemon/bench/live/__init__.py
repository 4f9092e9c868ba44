"""Measurements of the whole daemon from outside, and of the engine over hours.

`python -m daemon.bench.live` and `python -m daemon.bench.live.soak` are started; `measured_daemon`
is the daemon under measurement, `prepared_daemon` its process. Tests import `measurements` and
`music`.
"""
