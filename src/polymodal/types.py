"""Ranges as types. A signature that uses them is checked against the config before torch is imported."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
OpenFraction = Annotated[float, Gt(0), Lt(1)]
Probability = Annotated[float, Ge(0), Lt(1)]
"""A rate that must leave something over, such as dropout: 0 <= p < 1."""
