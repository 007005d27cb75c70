"""Cheap models that stand beside a result: chance, and linear models on simple features."""
