"""Scans a zip of the plugin by the rules of plugins.qgis.org, and prints what it finds.

    python -m scripts.scan build/alise-0.8.0.zip             ends with 1 where something is found
    python -m scripts.scan build/alise-0.8.0.zip --accept    hashes of models become known ones

`plugin_site_rules.json` holds the rules of the site. False alarms of bandit are waived where they
stand (`# nosec B405`), each with its reason beside it. detect-secrets takes the hashes that a
model.json holds for secrets: `.secrets.baseline`, which the site reads from the zip, lists them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RULES = json.loads((ROOT / "scripts" / "plugin_site_rules.json").read_text())
BASELINE = ROOT / ".secrets.baseline"
_PROGRAMS = (".exe", ".dll", ".so", ".dylib", ".bat", ".sh", ".ps1", ".cmd")
_KNOWN_HIDDEN = (".gitignore", ".gitattributes", ".bandit", ".secrets.baseline", ".flake8")
_FORBIDDEN_FOLDERS = {"__MACOSX", ".git", "__pycache__"}


def scan(package: Path) -> list[str]:
    """Return a line for each thing that the site would point at."""
    found = files_of(package)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        known = {
            (file, one["hashed_secret"])
            for file, secrets in json.loads(BASELINE.read_text())["results"].items()
            for one in secrets
        }
        found += bandit_findings(folder)
        for file, secrets in secrets_report(folder)["results"].items():
            for one in secrets:
                if (file, one["hashed_secret"]) not in known:
                    found.append(f"{file}:{one['line_number']}: {one['type']}")
    return found


def files_of(package: Path) -> list[str]:
    """Return what is wrong with the size and the files of a zip."""
    found = []
    if package.stat().st_size > RULES["maximum_bytes"]:
        found.append(f"{package.name}: larger than {RULES['maximum_bytes']} bytes")
    with zipfile.ZipFile(package) as archive:
        for item in archive.infolist():
            path = Path(item.filename)
            if path.name.startswith(".") and path.name not in _KNOWN_HIDDEN:
                found.append(f"{path}: hidden file")
            if path.suffix.lower() in _PROGRAMS:
                found.append(f"{path}: program")
            if path.suffix == ".py" and (item.external_attr >> 16) & 0o111 and not item.is_dir():
                found.append(f"{path}: executable Python file")
            if _FORBIDDEN_FOLDERS & set(path.parts):
                found.append(f"{path}: folder that the site refuses")
    return found


def bandit_findings(folder: Path) -> list[str]:
    """Return what bandit finds with the rules that the site turns on."""
    rules = ",".join(RULES["bandit"]["mandatory"] + RULES["bandit"]["waivable"])
    report = _json("bandit", "-r", str(folder), "-f", "json", "--quiet", "-t", rules)
    return [
        f"{Path(one['filename']).relative_to(folder)}:{one['line_number']}: {one['test_id']} "
        f"{one['issue_text']}"
        for one in report["results"]
    ]


def secrets_report(folder: Path) -> dict[str, Any]:
    """Return the report of detect-secrets as the site calls it, without a list of known ones."""
    options = ["--all-files", "--exclude-files", r"metadata\.txt"]
    options += ["--exclude-files", r"\.secrets\.baseline"]
    for detector in RULES["secrets"]["off"]:
        options += ["--disable-plugin", detector]
    return _json("detect_secrets", "scan", *options, ".", folder=folder)


def _json(module: str, *options: str, folder: Path = ROOT) -> dict[str, Any]:
    """Run a tool and return what it printed."""
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(f"{module} printed nothing: {done.stderr}")
    return dict(json.loads(done.stdout))


def accept_hashes(package: Path) -> None:
    """List the hashes of the zip's models as known; anything else remains a finding."""
    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(package) as archive:
            archive.extractall(name)
        report = secrets_report(Path(name))
    results = report["results"]
    report["results"] = {file: results[file] for file in results if file.endswith("/model.json")}
    BASELINE.write_text(json.dumps(report, indent=1) + "\n")


def main(package: str, *options: str) -> int:
    """Print the findings; return the exit code."""
    if options == ("--accept",):
        accept_hashes(Path(package))
    found = scan(Path(package))
    print("\n".join(found) if found else f"{package}: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
