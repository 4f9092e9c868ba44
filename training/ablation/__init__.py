"""The paper's experiments at equal parameters, tokens and data."""
