"""What a process finds around it: its environment, completed by the file `.env`, and its cache directory. Reads
`.env`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from feedbus.config.yaml_text import Place, read_text
from feedbus.errors import ConfigError


def environment(directory: Path) -> dict[str, str]:
    """The environment variables of the process, and those of the file `.env` in this directory, if there is one.

    A variable of the process takes precedence over one of the file. Raises ConfigError for a broken file.
    """
    path = directory / ".env"
    try:
        text = read_text(path, str(path))
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return dict(os.environ)
        raise
    found = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise Place(str(path), binding.original.line).error("is not NAME=value")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found | dict(os.environ)


def cache_directory(environ: Mapping[str, str]) -> str:
    """The directory for downloaded lists: systemd's (CacheDirectory=) if it gives one, else the user's; "" when neither
    is known.

    By systemd.exec(5), the variable may list several directories, of which the first is used. By the XDG Base Directory
    Specification, a path that isn't absolute is ignored.
    """
    if given := environ.get("CACHE_DIRECTORY", "").split(":")[0]:
        return given
    cache = Path(environ.get("XDG_CACHE_HOME", ""))
    if cache.is_absolute():
        return str(cache / "feedbus")
    home = environ.get("HOME", "")
    return str(Path(home) / ".cache" / "feedbus") if home else ""
