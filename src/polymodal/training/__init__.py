"""One run: built from a config, trained, tested, resumed."""
