"""What the bundled and the generated data are made of."""
