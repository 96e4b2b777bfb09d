#!/usr/bin/env bash
# The plugin as a zip that QGIS installs (Plugins > Manage and Install Plugins > Install from ZIP), of what
# is committed: without training, tests and scripts.
#   scripts/package.sh [folder, build by default]
set -euo pipefail
out=$(mkdir -p "${1:-$(dirname "$0")/../build}" && cd "${1:-$(dirname "$0")/../build}" && pwd)
cd "$(dirname "$0")/.."
version=$(git show HEAD:metadata.txt | sed -n 's/^version=//p')
zip=$out/alise-$version.zip
git archive --format=zip --prefix=alise/ --output="$zip.partial" HEAD \
  metadata.txt __init__.py LICENSE README.md alise_plugin models
mv "$zip.partial" "$zip"
echo "$zip"
