#!/bin/bash
# Workers that find work by themselves: every task of the array gives the same command, and together they do what it asks.
# Nothing runs on the login node. Submit it from a folder that all nodes see, with smupar's environment activated:
#
#   sbatch scripts/slurm/workers.sh sweep lr_by_sparsity
#   sbatch --array=0-63%32 --cpus-per-task=4 scripts/slurm/workers.sh tune 'study.storage=${oc.env:STUDY_URL}'
#
#SBATCH --job-name=smupar
#SBATCH --array=0-15
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=smupar-%A_%a.log
# Two minutes before its end a task is told, and leaves its run to others at once:
#SBATCH --signal=B:TERM@120
set -eu
if [ $# -eq 0 ]; then
    echo "usage: sbatch $0 COMMAND [NAME] [key=value ...]" >&2
    exit 2
fi
cd "${SLURM_SUBMIT_DIR:-.}"
command=$1
shift
# In the place of this shell, so that the signal above reaches it. Later words win: threads=8 may follow.
exec smupar "$command" workers=1 "threads=${SLURM_CPUS_PER_TASK:-1}" "$@"
