#!/bin/sh
# Set up .venv from a lock: `install.sh requirements.lock`; or write the locks anew: `install.sh --lock`.
# The AWS command line, which pins the botocore that it works with, gets an environment of its own in .venv/awscli;
# awswrangler, which holds pyarrow back, in .venv/awswrangler.
set -eu

uv=.venv/bin/uv

find_python() {
    for name in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "docbatch needs Python 3.11 or newer; none was found. Install one, or name it: make run PYTHON=/path/to/python3" >&2
    exit 2
}

make_venv() {
    [ -x "$uv" ] && return
    python=$(find_python)
    echo "Setting up .venv with $("$python" --version)" >&2
    rm -rf .venv
    "$python" -m venv .venv || { echo "The module venv is missing; on Debian: apt install python3-venv" >&2; exit 2; }
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
}

pin() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes --upgrade "$@"
}

compile() {
    pin "$@" pyproject.toml
}

if [ "$1" = --lock ]; then
    make_venv
    pin --group awscli -o requirements-awscli.lock
    pin --group awswrangler -o requirements-awswrangler.lock
    compile --extra airflow --extra local -o requirements.lock
    compile --extra airflow --extra local --extra celery --extra fast --extra ocr --group dev -c requirements.lock -o requirements-dev.lock
    compile --extra airflow --extra local --extra celery --extra fast --extra ocr --group dev --group bench -c requirements-dev.lock \
        -o requirements-bench.lock
    compile --group fuzz -c requirements-dev.lock -o requirements-fuzz.lock
    exit
fi

lock=$1
stamp=.venv/installed-$lock
# The stamp holds what was installed; the larger lock contains the smaller one.
if [ -f "$stamp" ] && [ "$(cat "$lock" pyproject.toml | cksum)" = "$(cat "$stamp")" ]; then
    exit
fi
make_venv
case $lock in
requirements-awscli.lock | requirements-awswrangler.lock)
    own=${lock#requirements-}
    own=.venv/${own%.lock}
    "$uv" venv --quiet --clear --python .venv/bin/python "$own"
    "$uv" pip install --quiet --python "$own/bin/python" --require-hashes -r "$lock"
    ;;
*)
    "$uv" pip install --quiet --python .venv/bin/python --require-hashes -r "$lock"
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --editable .
    ;;
esac
cat "$lock" pyproject.toml | cksum >"$stamp"
