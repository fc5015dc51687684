#!/bin/bash
# Runs a command of sde-jax on every host of a Cloud TPU pod; needs gcloud:
#
#   export TPU=my-pod ZONE=us-central2-b
#   experiments/cluster/tpu_pod.sh train cifar10_vp --workdir /mnt/runs/cifar10 --resume
#   experiments/cluster/tpu_pod.sh sample /mnt/runs/cifar10 --count 50000 --out /mnt/drawn
#
# All hosts must see the folders: a mounted bucket (gcsfuse) or NFS. Each host needs the checkout in
# ~/sde_jax, installed once on all of them by
#
#   gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
#     --command "git clone REPOSITORY sde_jax && cd sde_jax && python3 -m venv .venv && .venv/bin/pip install -e '.[tpu]'"
#
# The hosts find each other. After a preemption, create and install the pod again and repeat
# the same line: a run continues at its last checkpoint, samples at the last whole file.
set -euo pipefail
: "${TPU:?the name of the pod}" "${ZONE:?its zone}"

gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
  --command "cd ~/sde_jax && .venv/bin/sde-jax $(printf '%q ' "$@")"
