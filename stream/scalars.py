"""The scalars of the messages, each with the range in which it makes sense."""

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Ordinal = Annotated[int, msgspec.Meta(ge=0, le=10**6)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=32_503_680_000)]  # Unix time up to the year 3000
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Series = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Label = Annotated[str, msgspec.Meta(max_length=200)]
RateHz = Annotated[float, msgspec.Meta(ge=1e-3, le=1e9)]
Version = Literal[1]
Side = Annotated[int, msgspec.Meta(gt=0, le=4096)]  # pixels
Mode = Literal["xcs", "ct"]
MarkLabel = Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
