#!/bin/sh
# Makes .venv and installs what a lock file pins:   sh tools/install.sh runtime|dev
#
# Safe to interrupt: the stamp is written last and holds a checksum of all that decides the content of .venv; what an
# interrupted pip left behind is thrown away, since pip takes a half-written package for a whole one.
# PYTHON=... chooses the interpreter. Without it the newest supported one wins that can make a virtual environment.
set -eu
cd "$(dirname "$0")/.."
kind=$1
case $kind in
    runtime) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "install.sh: expected runtime or dev, got '$kind'" >&2; exit 2 ;;
esac
venv=.venv
stamp=$venv/.installed-$kind
unfinished=$venv/.installing
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_REQUIRE_VIRTUALENV=1
export PYTHONUNBUFFERED=1
unset PYTHONDONTWRITEBYTECODE PIP_NO_COMPILE PYTHONPATH PYTHONHOME || true # a run pays every import: keep the bytecode

say() { echo "[install] $*" >&2; }
die() { echo "[install] $*" >&2; exit 1; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
is_supported() { case $(version_of "$1") in 3.11 | 3.12 | 3.13 | 3.14) return 0 ;; *) return 1 ;; esac; }
is_complete() { "$1" -c 'import ensurepip, sqlite3, ssl, venv' 2>/dev/null; }

choose_python() {
    incomplete=
    for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        is_supported "$candidate" || continue
        if is_complete "$candidate"; then echo "$candidate"; return; fi
        incomplete=$candidate
    done
    if [ -n "$incomplete" ]; then
        die "$incomplete cannot make virtual environments (venv, ensurepip, ssl or sqlite3 is missing)." \
            "On Debian and Ubuntu: apt-get install python$(version_of "$incomplete")-venv"
    fi
    found=$(version_of "${PYTHON:-python3}")
    die "Python 3.11 to 3.14 is needed; ${PYTHON:-python3} is ${found:-not there}." \
        "Install one, or name one: make PYTHON=/path/to/python3.13 ..."
}

# A venv is kept if no pip died in it, its Python and pip run, and it is the version asked for; else it is made anew.
is_usable() {
    [ ! -e "$unfinished" ] || return 1
    is_supported "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1 || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$venv/bin/python")" ]
}

checksum() { cat "$lock" pyproject.toml "$0" "$venv/pyvenv.cfg" | cksum; }

# One line that tells how far pip is, rewritten in place; only on a terminal.
progress() {
    if [ ! -t 2 ]; then cat >/dev/null; return; fi
    total=$(grep -c '^[a-z0-9]' "$lock")
    count=0
    clear=$(printf '\r\033[K')
    while read -r verb what _; do
        case $verb in
            Collecting | Processing | Ignoring | Requirement) count=$((count + 1)) ;;
            Installing) what="unpacking and compiling to bytecode (the longest part)" ;;
            *) continue ;;
        esac
        printf '%s[install] %d/%d %.50s' "$clear" "$count" "$total" "${what##*/}" >&2
    done
    printf '%s' "$clear" >&2
}

# One at a time: a second `make` waits here, and then finds the work done.
exec 9<"$0"
flock 9 2>/dev/null || true

if ! is_usable; then
    python=$(choose_python)
    say "making $venv with Python $(version_of "$python") ($(command -v "$python"))"
    rm -rf "$venv"
    "$python" -m venv "$venv"
elif [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(checksum)" ]; then
    touch "$stamp"
    exit 0
fi

rm -f "$venv"/.installed-*
touch "$unfinished"
say "installing $(grep -c '^[a-z0-9]' "$lock") packages pinned in $lock (a minute or two the first time)"
log=$venv/install.log
status=$({ { "$venv/bin/python" -m pip install --require-hashes --no-deps --no-color --progress-bar off -r "$lock" 2>"$log.err" \
    || echo failed >&3; } | tee "$log" | progress; } 3>&1)
if [ -n "$status" ]; then
    rm -f "$unfinished" # pip gave up by itself, which leaves whole packages
    cat "$log.err" >&2
    die "pip could not install $lock; the whole output is in $log. Run the same command again to go on."
fi
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
"$venv/bin/python" -m compileall -q tg_pipeline
rm "$unfinished"
checksum >"$stamp"
[ "$kind" = runtime ] || lock=requirements.lock checksum >"$venv/.installed-runtime"
say "ready: $venv"
