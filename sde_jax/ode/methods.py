"""Names of methods."""

from typing import Literal

Method = Literal["bosh3", "dopri5", "tsit5"]
"""Embedded Runge-Kutta pairs of order 3, 5 and 5: Bogacki-Shampine, Dormand-Prince, Tsitouras."""
