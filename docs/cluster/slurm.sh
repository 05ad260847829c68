#!/usr/bin/env bash
# The same without dask-jobqueue: one job that starts a scheduler, a worker for each of its GPUs,
# and the run.  sbatch docs/cluster/slurm.sh in.zarr out.zarr
#SBATCH --job-name=tsain
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=4
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=8G
#SBATCH --time=08:00:00
#SBATCH --requeue
set -euo pipefail

place="$PWD/scheduler-$SLURM_JOB_ID.json" # on a file system that all nodes see
rm -f "$place"
dask scheduler --scheduler-file "$place" &
until [[ -s "$place" ]]; do sleep 1; done

# CUDA_VISIBLE_DEVICES gives each task a GPU of its own; one thread, for a model takes one block at a time
srun --overlap bash -c 'CUDA_VISIBLE_DEVICES=$SLURM_LOCALID \
    dask worker --scheduler-file "$0" --nthreads 1 --memory-limit 0 --local-directory "${TMPDIR:-/tmp}"' \
    "$place" &

tsain interpolate "$1" "$2" --dask "$place" --memory 24GiB
