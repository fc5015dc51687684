#!/bin/bash
# Runs a command of sde-jax on Slurm, requeued until it is finished:
#
#   sbatch experiments/cluster/slurm.sh train cifar10_vp --workdir /shared/runs/cifar10 --resume
#   sbatch experiments/cluster/slurm.sh sample /shared/runs/cifar10 --count 50000 --out /shared/drawn
#
# Both go on where they were stopped. All nodes must see the folders. Fill in nodes, devices and
# time. JAX takes one process for each GPU, and process i of a node takes its GPU i: let each
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

# Trainers finish their step, save, and exit with 0; `sample` keeps its whole files.
stop() {
  stopped=1
  scancel --signal=TERM "$SLURM_JOB_ID.0"
}
trap stop TERM

srun --kill-on-bad-exit=1 sde-jax "$@" &
# A signal ends the first wait; the second waits for the checkpoint.
wait $!
code=$?
if [[ -n "${stopped:-}" ]]; then
  wait
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
fi
exit "$code"
