"""Programs that measure: the engine, what it stands beside, and the whole daemon.

At the top lie the programs and what they all write by: `results` and `pictures`. `measures/` holds
what they measure with, `live/` the whole daemon, `contestants/` who is timed. Nobody imports these.
"""
