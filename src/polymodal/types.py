"""Ranges as types. A signature that uses them is checked against the config before torch is
imported.
"""

import math
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, Predicate

Integer = Annotated[int, Ge(-(2**63)), Lt(2**63)]
"""What a tensor of integers can hold. Every `int` of a signature is checked as one."""
PositiveInt = Annotated[int, Gt(0), Lt(2**63)]
NonNegativeInt = Annotated[int, Ge(0), Lt(2**63)]

Finite = Annotated[float, Predicate(math.isfinite)]
"""No NaN and no infinity. Every `float` of a signature is checked as one."""
PositiveFloat = Annotated[Finite, Gt(0)]
NonNegativeFloat = Annotated[Finite, Ge(0)]
Scale = Annotated[Finite, Predicate(bool)]
"""A divisor; one below zero turns black and white around."""
Fraction = Annotated[Finite, Ge(0), Le(1)]
OpenFraction = Annotated[Finite, Gt(0), Lt(1)]
Probability = Annotated[Finite, Ge(0), Lt(1)]
"""A rate that must leave something over, such as dropout: 0 <= p < 1."""

Seed = Annotated[int, Ge(0), Lt(2**32)]
"""What numpy and Lightning take."""

MOST_AT_ONCE = 1024
"""Of threads, processes and jobs that one machine is asked for. More are a slip, and would exhaust
it."""
Threads = Annotated[int, Gt(0), Le(MOST_AT_ONCE)]
Workers = Annotated[int, Ge(0), Le(MOST_AT_ONCE)]
"""Processes beside the one that asks for them; 0: none."""

VocabularySize = Annotated[int, Ge(257), Lt(2**31)]
"""Tokens that a tokenizer of bytes learns: the 256 bytes and the padding are among them."""
