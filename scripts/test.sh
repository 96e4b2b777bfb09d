#!/usr/bin/env bash
# Sets up and runs every check: lint, format, types, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh python
export QT_QPA_PLATFORM=offscreen
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# A file is one process's: its tests share what is slow to make.
.venv/bin/python -m pytest -n auto --dist loadfile --durations=20 "$@"
