"""What a person read in the tables: by size and experiment, what is shown and what is not."""

READINGS: dict[tuple[str, str], str] = {}
