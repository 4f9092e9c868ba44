"""The light process: time, whose turn it is, and who is told what.

`turns` decides and is pure; `core` carries out; `brain_link` owns the brain's process; `process`
starts it all. The supervisor imports `process`, the benchmarks `brain_link`, nobody the rest.
"""
