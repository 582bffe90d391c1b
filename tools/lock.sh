#!/bin/sh
# Writes requirements.lock and requirements-dev.lock: exact versions, hashes of every file of a release, valid for
# each supported Python, without a word about where the files came from. Known versions stay; UPGRADE=1 lifts them.
#
# uv resolves (pip-compile has no lock for several Pythons); it is put into a throw-away environment.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch"
"$scratch/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

# The hashes must be the public index's own, whatever mirrors or local wheels this machine's pip would use.
unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL UV_INDEX UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS || true
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="$PIP_CERT"

compile() {
    "$scratch/bin/uv" pip compile --no-config --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-strip-extras \
        ${UPGRADE:+--upgrade} "$@" pyproject.toml
}
compile --group build --output-file requirements.lock
compile --group dev --constraint requirements.lock --output-file requirements-dev.lock

if grep -nE '://|--(extra-)?index|--find-links|(^|[ =@])/' requirements.lock requirements-dev.lock; then
    echo "[lock] the lines above name a place of this machine or of an index" >&2
    exit 1
fi
