"""The real-time daemon: ports, turns, engine, control."""
