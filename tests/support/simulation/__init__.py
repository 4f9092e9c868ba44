"""Hours of playing in seconds: the daemon's pure parts, a random musician, and a simulated clock.

`session` puts one session together and plays it; `laws` watches. The stage is the real one without
its threads, sockets and ports; the brain improvises at random, by the protocol that it keeps with
the stage.
"""
