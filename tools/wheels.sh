#!/bin/sh
# Checks that every package of requirements-dev.lock has a wheel for each supported Python, on x86-64 and arm64.
# Reads package metadata only, through whatever index this machine's pip uses; installs nothing.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
