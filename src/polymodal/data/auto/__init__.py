"""Settings of data that follow the data."""
