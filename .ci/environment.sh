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

# environment_of BACKEND: that of its tests, under its name
environment_of() {
    case $1 in
    tensorflow) environment tensorflow ".[tensorflow,dev,cv,hub]" ;;
    jax) environment jax ".[jax,dev,export-jax]" ;;
    torch) environment torch "$torch" ".[torch,dev]" ;;
    esac
}

wheel() { # in $work/dist, made of a clone
    git clone -q . "$work/sources"
    environment release "build[uv]"
    "$work/release/bin/python" -m build --installer uv -o "$work/dist" "$work/sources"
}

# alone BACKEND: the wheel, installed with that backend and nothing else, trains two stages
alone() {
    local built=("$work"/dist/*.whl) first=()
    [ "$1" != torch ] || first=("$torch")
    environment "alone_$1" "${first[@]}" "${built[0]}[$1]"
    KERAS_BACKEND=$1 "$work/alone_$1/bin/python" .ci/smoke.py
}

absent() { ! "$work/$1/bin/python" -c "import $2" 2>/dev/null || { echo "$2 must not be installed in $1"; exit 1; }; }

lowest_keras() { # in the environment of PyTorch
    local lowest
    lowest=$(sed -n 's/.*"keras>=\([0-9.]*\)", "numpy.*/\1/p' setup.py)
    install torch "keras==$lowest.*"
}

# tested BACKEND ARGUMENT...: its tests, in the environment of its name, but those that are the same on every backend
tested() { KERAS_BACKEND=$1 "$work/$1/bin/python" -m pytest -n auto --ignore=tests/project "${@:2}"; }

# readme END ARGUMENT...: the README's own command that ends so, on TensorFlow, in a clone
readme() {
    local command
    command=$(grep -m 1 -- "$1\$" README.md)
    [ -d "$work/clone" ] || git clone -q . "$work/clone"
    (cd "$work/clone" && KERAS_BACKEND=tensorflow bash -euc "$command ${*:2}")
}

# tutorials ENVIRONMENT ARGUMENT...: as many at a time as there are cores, each on one
tutorials() {
    printf '%s\n' examples/notebooks/*.ipynb |
        KERAS_BACKEND=tensorflow OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
            xargs -P "$(nproc)" -n 1 "$1/bin/python" -m examples.run_notebooks "${@:2}"
}
