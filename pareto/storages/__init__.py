"""Where studies are kept: an SQLite file, a database server, or a journal file, named by a URL.

One file per kind of storage; `_guard.py` deals with those that stop working, `_schema.py` tells
databases of this Optuna from others. A password in a URL is never shown.
"""

from pareto.storages._open import DEFAULT_URL, clock_difference, connect, exists

__all__ = ["DEFAULT_URL", "clock_difference", "connect", "exists"]
