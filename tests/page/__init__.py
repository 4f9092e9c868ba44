"""The page, as people meet it: a real browser against a real daemon, without any MIDI system."""
