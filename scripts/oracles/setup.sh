#!/bin/sh
# Builds the Python environment of spring 2023 that writes and checks the test data.
# Usage: scripts/oracles/setup.sh VENV_DIR
# A finished environment holds the file VENV_DIR/READY. About 3.5 GB and a minute or two.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 VENV_DIR" >&2
    exit 2
fi
venv=$1
here=$(cd "$(dirname "$0")" && pwd)

if [ -e "$venv/READY" ]; then
    echo "$venv is ready"
    exit 0
fi

python=
for candidate in ${PYTHON:-} python3.11 python3.10 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "$0: no Python 3.10 or 3.11 found; torch 1.13.1 has no wheel for others (set PYTHON)" >&2
    exit 4
fi

"$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check"
$pip install --quiet --no-compile --only-binary :all: -r "$here/requirements-2023.txt"
$pip install --quiet --no-compile --only-binary :all: --no-deps --upgrade \
    --target "$venv/overlay/peft-0.4.0" peft==0.4.0
"$venv/bin/python" -c '
import torch, transformers, peft, sentencepiece
from transformers import LlamaTokenizerFast
assert torch.__version__.startswith("1.13.1") and transformers.__version__ == "4.28.1"'
touch "$venv/READY"
echo "$venv is ready"
