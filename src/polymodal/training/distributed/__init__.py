"""Several processes: collectives, sharding, signals, and how they fail together."""
