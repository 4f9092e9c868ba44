"""What tests stand on and is no test: ports, daemons, models, music, and programs of others."""
