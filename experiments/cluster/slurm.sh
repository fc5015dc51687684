#!/bin/bash
# Trains on Slurm, requeued until the run is finished:
#
#   sbatch experiments/cluster/slurm.sh cifar10_vp --workdir /shared/runs/cifar10
#
# Arguments are those of `sde-jax train`; all nodes must see the folder. Fill in nodes, devices
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
# This script gets SIGTERM two minutes before the time limit, or when the job is preempted.
#SBATCH --signal=B:TERM@120

# The environment in which sde_jax is installed: fill in.
source .venv/bin/activate

# The trainers finish their step, save, and exit with 0.
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
