"""What a model is worth, measured: likelihood, and what it plays against what people play."""
