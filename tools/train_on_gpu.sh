#!/bin/bash
# Train phat6 on a GPU node for some minutes and collect the weights of 16 bits.
#
#     tools/train_on_gpu.sh HOME [MINUTES] [WORKERS]
#
# The node needs the package with its extra `simulate` (wheels will do), and the isochrones of the
# recipe imported by their names (PRAESEPE_DATA says where). On the node's processors a second model learns
# without PARSEC, from `phat`, for the tests on PARSEC's stars. HOME gets both releases and their
# logs, whose lines have the stamps per second; a run that was cut off leaves its checkpoint in RUNS.
# No critic is taught: tools/teach_critic.py does that afterwards on any machine.
set -u
home=$1 minutes=${2:-9} workers=${3:-4}
runs=${RUNS:-$(mktemp -d)}
export PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
recipe="$(dirname "$0")/train_phat.py"
mkdir -p "$home" "$runs"

train() {  # name, threads, then the recipe's options
    local name=$1 threads=$2
    shift 2
    OMP_NUM_THREADS=$threads python3 "$recipe" --out "$runs/$name" --minutes "$minutes" "$@" \
        > "$runs/$name.log" 2>&1
    [ -d "$runs/$name/release" ] && cp -r "$runs/$name/release" "$home/$name"
    grep -av '^{' "$runs/$name.log" > "$home/$name.log"
    grep -a '^{' "$runs/$name.log" | awk 'NR % 10 == 1' >> "$home/$name.log"
}

train phat6 2 --seed 1310 --device cuda --set views=2 batch_size=512 learning_rate=1e-3 \
    valid_size=992 valid_every=400 "workers=$workers" &
train without_parsec 3 --seed 1401 --from phat --stars sse --set views=2 learning_rate=1e-3 \
    valid_size=992 valid_every=400 workers=7 &
wait
tail -qn 1 "$home"/*.log
