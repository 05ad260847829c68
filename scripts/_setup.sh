# Sourced by demo.sh and test.sh: brings a Debian or Ubuntu machine with Python 3.11+ to where the
# project runs. Does nothing that is done already; uses apt only for packages that are missing.
#
#   set_up EXTRAS [DEBIAN_PACKAGE...]    EXTRAS: of pyproject.toml, with commas; may be empty
#
# Afterwards the working directory is the repository and .venv/bin stands first in PATH.
# PYTHON names another interpreter than python3; pip's own PIP_* variables are obeyed.
# shellcheck shell=bash

REPOSITORY="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$REPOSITORY/.venv"

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$0: $*"
    exit 1
}

set_up() {
    local extras="$1" python
    shift
    cd -- "$REPOSITORY" || die "cannot enter $REPOSITORY"
    if [[ -z "${PYTHON:-}" ]] && ! command -v python3 >/dev/null; then
        install_packages python3
    fi
    python="${PYTHON:-python3}"
    check_python "$python"
    install_packages "$@"
    make_venv "$python"
    install_project "$extras"
    PATH="$VENV/bin:$PATH"
    export PATH
}

check_python() {
    local python="$1"
    command -v "$python" >/dev/null ||
        die "No $python found; Python 3.11 or newer is needed. Install it, or set PYTHON to its path."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$python is $("$python" --version 2>&1); Python 3.11 or newer is needed." \
            "Set PYTHON to the path of a newer one (Ubuntu 22.04 has one: apt-get install" \
            "python3.11 python3.11-venv, then PYTHON=python3.11)."
}

# Installs those of the Debian packages that are missing.
install_packages() {
    local package missing=()
    if ! command -v dpkg-query >/dev/null; then
        [[ $# -eq 0 ]] || say "Not a Debian or Ubuntu machine; this is taken to be there: $*"
        return 0
    fi
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    say "Installing Debian packages: ${missing[*]}"
    as_root "${missing[*]}" apt-get update -q ||
        say "apt-get update failed; trying with the package lists that are there"
    as_root "${missing[*]}" apt-get install -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}"
}

# Libraries that were rebuilt for 64-bit time have another name on newer systems: libfoo1t64.
is_installed() {
    { dpkg-query -W -f='${db:Status-Status}\n' "$1" "$1t64" 2>/dev/null || true; } |
        grep -x installed >/dev/null
}

# as_root PACKAGES COMMAND...: PACKAGES are only named in the message when it cannot be done.
as_root() {
    local packages="$1"
    shift
    if [[ "$(id -u)" -eq 0 ]]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        die "Debian packages are missing and this user may not install them." \
            "As root, run: apt-get install $packages   Then run this again."
    fi
}

# Keeps a virtual environment that works and belongs to this folder; makes a new one otherwise.
make_venv() {
    local python="$1"
    if [[ "$(cat -- "$VENV/tsain-folder" 2>/dev/null)" == "$VENV" ]] &&
        "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    # A pyenv or self-built Python has both modules; Debian's has them in a package of their own.
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        install_packages "$("$python" -c \
            'import sys; print("python{}.{}-venv".format(*sys.version_info))')"
    fi
    say "Making a virtual environment in $VENV"
    "$python" -m venv --clear "$VENV"
    printf '%s\n' "$VENV" >"$VENV/tsain-folder"
}

# Installs the project, editable, unless this was done with the same pyproject.toml and napari.yaml.
install_project() {
    local extras="$1" stamp state
    stamp="$VENV/tsain-installed-${extras//,/-}"
    state="$(cat pyproject.toml napari.yaml | sha256sum)"
    [[ "$(cat -- "$stamp" 2>/dev/null)" != "$state" ]] || return 0

    say "Installing the project and what it needs; the first time takes minutes and some gigabytes"
    "$VENV/bin/python" -m pip install --disable-pip-version-check \
        --editable ".${extras:+[$extras]}" >&2
    printf '%s\n' "$state" >"$stamp"
}
