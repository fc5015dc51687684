#!/bin/bash
# A training run on Slurm that is requeued until it is finished:
#
#   sbatch experiments/cluster/slurm.sh cifar10_vp --workdir /shared/runs/cifar10
#
# Arguments are those of `train`; the folder must be one that all nodes see. Fill in nodes, devices
# and time. JAX takes one process for each GPU, and process i of a node takes its GPU i: let each
# task see all of them (no --gpus-per-task).
#SBATCH --job-name=sde_jax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Two minutes before the time is over, or when another job needs the place, this script gets SIGTERM.
#SBATCH --signal=B:TERM@120

# The environment in which sde_jax is installed: fill in.
source .venv/bin/activate

# The trainers stop after the step they are in, save, and exit with 0.
stop() {
  stopped=1
  scancel --signal=TERM "$SLURM_JOB_ID.0"
}
trap stop TERM

srun --kill-on-bad-exit=1 sde-jax train "$@" --resume &
# A signal ends the first wait; the second waits for the checkpoint.
wait $!
code=$?
if [[ -n "${stopped:-}" ]]; then
  wait
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
fi
exit "$code"
