"""Foreign text of ALOR's, fit for a log: one line, short, without a token. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from feedbus.text import HIDDEN, masked, one_line

_JWT = re.compile(r"eyJ[\w+/=-]*(?:\.[\w+/=-]*)*")  # every JSON object in base64 begins so


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """One printable line of at most 200 characters; the secrets, and whatever looks like a JWT, are hidden."""
    return one_line(_JWT.sub(HIDDEN, masked(text, secrets)), empty="no message")
