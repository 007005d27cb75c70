"""From a data set to batches: splits, order, loaders, and samples that cannot be used."""
