#!/bin/bash
# Starts a training run on every host of a Cloud TPU pod, or continues it; run it where gcloud is:
#
#   TPU=my-pod ZONE=us-central2-b experiments/cluster/tpu_pod.sh cifar10_vp --workdir /mnt/runs/cifar10
#
# Arguments are those of `train`. The folder must be one that all hosts see: a mounted bucket (gcsfuse)
# or NFS. Each host needs the checkout in ~/sde_jax, installed once on all of them by
#
#   gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
#     --command "git clone REPOSITORY sde_jax && cd sde_jax && python3 -m venv .venv && .venv/bin/pip install -e '.[tpu]'"
#
# The hosts find each other by themselves. A preempted pod is made again, installed, and started by
# the same line: the run goes on at its last checkpoint.
set -euo pipefail
: "${TPU:?the name of the pod}" "${ZONE:?its zone}"

gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
  --command "cd ~/sde_jax && .venv/bin/sde-jax train $(printf '%q ' "$@") --resume"
