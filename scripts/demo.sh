#!/usr/bin/env bash
# Sets everything up and runs the demo: a generated EM stack is interpolated with the shipped
# weights; pictures and scores go to demo-report/. Arguments are passed on to `tsain demo`.
set -euo pipefail
# shellcheck source=scripts/_setup.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/_setup.sh"

set_up ""
exec tsain demo --output demo-report "$@"
