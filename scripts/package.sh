#!/usr/bin/env bash
# The plugin as a zip that QGIS installs (Plugins > Manage and Install Plugins > Install from ZIP), of what
# is committed: without training, tests and scripts, with the documentation as HTML in help/.
#   scripts/package.sh [folder, build by default]
#   scripts/package.sh --release [folder]    refuses while metadata.txt has placeholders
set -euo pipefail
release=no
if [ "${1:-}" = --release ]; then
  release=yes
  shift
fi
out=$(mkdir -p "${1:-$(dirname "$0")/../build}" && cd "${1:-$(dirname "$0")/../build}" && pwd)
cd "$(dirname "$0")/.."

if [ "$release" = yes ]; then
  # The paper's page and names under .example stand where a project's own addresses belong.
  placeholders=$(git show HEAD:metadata.txt |
    grep -E '^(homepage|repository|tracker|email)=(.*(arxiv\.org|\.example).*)?$' || true)
  if [ -n "$placeholders" ]; then
    echo "metadata.txt still has placeholders; write the project's own addresses there:" >&2
    echo "$placeholders" >&2
    exit 1
  fi
fi

python=.venv/bin/python
if ! "$python" -c 'import mkdocs' 2>/dev/null; then
  python=build/mkdocs/bin/python
  if ! "$python" -c 'import mkdocs' 2>/dev/null; then
    python3 -m venv build/mkdocs
    "$python" -m pip install -q --disable-pip-version-check "$(grep '^mkdocs==' scripts/requirements.txt)"
  fi
fi

version=$(git show HEAD:metadata.txt | sed -n 's/^version=//p')
zip=$out/alise-$version.zip
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/alise" "$stage/source"
git archive HEAD metadata.txt __init__.py LICENSE README.md .secrets.baseline alise_plugin models |
  tar -x -C "$stage/alise"
git archive HEAD mkdocs.yml docs | tar -x -C "$stage/source"
# With -q mkdocs counts no warnings: --strict would let them pass.
log=$("$python" -m mkdocs build --strict -f "$stage/source/mkdocs.yml" -d "$stage/alise/help" 2>&1) ||
  {
    echo "$log" >&2
    exit 1
  }
# Data of the tutorials are for a clone, and the site map names the time of the build.
rm -rf "$stage/alise/help/tutorials/data"/*.tif "$stage/alise/help/tutorials/data"/*.gpkg \
  "$stage/alise/help/tutorials/data/harvest" "$stage/alise/help"/sitemap.xml*
# One commit gives one zip: files have the commit's time and lie in order.
"$python" - "$stage" "$zip.partial" "$(git show -s --format=%ct HEAD)" <<'END'
import sys, time, zipfile
from pathlib import Path

stage, target, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
    for path in sorted((stage / "alise").rglob("*")):
        if path.is_file():
            item = zipfile.ZipInfo(path.relative_to(stage).as_posix(), time.gmtime(seconds)[:6])
            item.external_attr = 0o100644 << 16
            item.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(item, path.read_bytes())
END
mv "$zip.partial" "$zip"
echo "$zip"
