"""Commands that mine, train and evaluate."""
