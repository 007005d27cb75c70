"""Metrics: torchmetrics classes whose figures do not depend on batch size or on the number of processes."""
