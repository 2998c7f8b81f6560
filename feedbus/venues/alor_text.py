"""Foreign text of ALOR's, fit for a log: one line, short, without a token. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
MAX_TEXT = 200

_JWT = re.compile(r"eyJ[\w+/=-]*(?:\.[\w+/=-]*)*")  # every JSON object in base64 begins so


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """One printable line of at most 200 characters; the secrets, and whatever looks like a JWT, are hidden."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _JWT.sub(HIDDEN, text)
    words = "".join(char if char.isprintable() else " " for char in text[: 2 * MAX_TEXT]).split()
    return " ".join(words)[:MAX_TEXT] or "no message"
