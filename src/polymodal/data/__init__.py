"""Data sources: each a LightningDataModule that yields `PairedBatch`."""
