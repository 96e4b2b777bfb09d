"""`python -m alise_plugin`: the algorithms without QGIS."""

from __future__ import annotations

from .cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
