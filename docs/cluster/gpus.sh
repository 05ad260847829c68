#!/usr/bin/env bash
# All GPUs of this machine, through dask-cuda (pip install dask-cuda): a worker for each.
#   bash docs/cluster/gpus.sh in.zarr out.zarr
set -euo pipefail

place="$(mktemp -d)/scheduler.json"
trap 'kill $(jobs -p) 2>/dev/null' EXIT
dask scheduler --scheduler-file "$place" &
until [[ -s "$place" ]]; do sleep 1; done
dask cuda worker --scheduler-file "$place" --nthreads 1 --memory-limit 0 &

tsain interpolate "$1" "$2" --dask "$place"
