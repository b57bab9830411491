# Sourced by the scripts beside it: environments made from the project's own files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export TF_CPP_MIN_LOG_LEVEL=2 CUDA_VISIBLE_DEVICES=""
export XLA_FLAGS=--xla_cpu_use_fusion_emitters=false # JAX compiles in three quarters of the time.
export PIP_NO_COMPILE=1 # Python compiles what it imports, and keeps it; pip would compile all.
unset PYTHONDONTWRITEBYTECODE # It would do so in every process: importing TensorFlow takes three times as long.
torch=torch==2.13.0 # An open range brings CUDA.
work=$(mktemp -d)
export UV_CACHE_DIR="$work/cache"
trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

uv() { # which is made where it is first used
    [ -x "$work/tools/bin/uv" ] || { python3 -m venv "$work/tools" && "$work/tools/bin/pip" install -q uv; }
    "$work/tools/bin/uv" "$@"
}

# environment NAME REQUIREMENT...: a fresh virtual environment in $work
environment() {
    uv venv -q -p python3 "$work/$1"
    for requirement in "${@:2}"; do install "$1" "$requirement"; done
}

# install NAME REQUIREMENT: by uv in a tenth of the time of pip, but for PyTorch: pip's settings may name one without CUDA
install() {
    local by=(uv pip install -q -p "$work/$1")
    [ "$2" != "$torch" ] || by=("$work/tools/bin/pip" --python "$work/$1" install -q)
    "${by[@]}" "$2"
}

# environment_of_tests NAME: that of a backend's tests; the name is the backend's, or begins so and goes on with `_`
environment_of_tests() {
    case ${1%%_*} in
    tensorflow) environment "$1" ".[tensorflow,dev,cv,hub]" ;;
    jax) environment "$1" ".[jax,dev,export-jax]" ;;
    torch) environment "$1" "$torch" ".[torch,dev]" ;;
    esac
}

built() { # sdist and wheel in $work/dist, made of a clone
    git clone -q . "$work/sources"
    environment release "build[uv]"
    "$work/release/bin/python" -m build --installer uv -o "$work/dist" "$work/sources"
}

# alone BACKEND ENDING: what was built, with that backend and nothing else, trains two stages
alone() {
    local file=("$work"/dist/*"$2") first=()
    [ "$1" != torch ] || first=("$torch")
    environment "alone_$1$2" "${first[@]}" "${file[0]}[$1]"
    KERAS_BACKEND=$1 "$work/alone_$1$2/bin/python" .ci/smoke.py
}

absent() { ! "$work/$1/bin/python" -c "import $2" 2>/dev/null || { echo "$2 must not be installed in $1"; exit 1; }; }

# lowest_keras NAME: the oldest that the backend can have, in an environment of its tests; KerasHub asks for a newer one
lowest_keras() {
    local line='"keras>=\([0-9.]*\)", "numpy'
    [ "${1%%_*}" != jax ] || line='"jax": .*"keras>=\([0-9.]*\)"'
    install "$1" "keras==$(sed -n "s/.*$line.*/\1/p" setup.py).*"
    uv pip uninstall -q -p "$work/$1" keras-hub
}

# tested NAME ARGUMENT...: the tests in an environment of theirs, but those that are the same on every backend
tested() { KERAS_BACKEND=${1%%_*} "$work/$1/bin/python" -m pytest -n auto --ignore=tests/project "${@:2}"; }

# readme BACKEND END ARGUMENT...: the README's own command that ends so, in a clone
readme() {
    local command clone="$work/clone_$1"
    [ -d "$clone" ] || cloned "$1" "$clone"
    command=$(grep -m 1 -- "$2\$" README.md)
    (cd "$clone" && KERAS_BACKEND=$1 bash -euc "${command//tensorflow/$1} ${*:3}")
}

# cloned BACKEND FOLDER: a clone; for PyTorch with its CPU build in the environment that the README makes
cloned() {
    git clone -q . "$2"
    [ "$1" != torch ] || { python3 -m venv "$2/.venv" && "$2/.venv/bin/pip" install -q "$torch"; }
}

# tutorials ENVIRONMENT ARGUMENT...: without a network, as many at a time as there are cores, each on one
tutorials() {
    local nowhere=http://127.0.0.1:9
    printf '%s\n' examples/notebooks/*.ipynb |
        KERAS_BACKEND=tensorflow OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
            http_proxy=$nowhere https_proxy=$nowhere \
            xargs -P "$(nproc)" -n 1 "$1/bin/python" -m examples.run_notebooks "${@:2}"
}
