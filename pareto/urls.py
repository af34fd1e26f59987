"""URLs of storages and workspaces, as they may be shown."""

import re

_SECRETS = re.compile(r"([?&][^=&]*passw[^=&]*=)[^&]*", re.IGNORECASE)


def shown(url: str) -> str:
    """A URL without its password, be it beside the user's name or among the options."""
    hidden = re.sub(r"(//[^/@:]*):.*@", r"\1:***@", url)
    return _SECRETS.sub(r"\1***", hidden)
