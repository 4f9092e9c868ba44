"""Programs that measure the engine, what it stands beside, and the whole daemon."""
