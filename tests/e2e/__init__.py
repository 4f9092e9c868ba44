"""The whole daemon, heard by programs of others."""
