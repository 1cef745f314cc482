#!/usr/bin/env bash
# The whole path on one screen: a server on a temporary directory, the small
# model beside this file compressed with two methods at 4, 3 and 2 bits, and
# everything measured beside the original. Needs the release build
# (make build); leaves nothing behind.
#
#   deploy/demo/demo.sh          after make build, or through make demo
#   QUANTD_BUILD_DIR=DIR         where quantd and quantctl are, default
#                                build/release
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
build="${QUANTD_BUILD_DIR:-$root/build/release}"
model_dir="$root/deploy/demo/demo-llama-1m"
metric=ppl/gptq-512
model=demo-llama-1m

work="$(mktemp -d "${TMPDIR:-/tmp}/quantd-demo.XXXXXX")"
log="$work/server.log"
server_pid=''

# Runs at every exit: stops the server by its own pid and removes the data;
# after a failure shows what the server had to say first.
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "$server_pid" ]; then
    kill -TERM "$server_pid" 2> /dev/null || true
    wait "$server_pid" 2> /dev/null || true
  fi
  if [ "$code" -ne 0 ] && [ -s "$log" ]; then
    {
      echo
      echo "demo: failed; the last lines of the server's log:"
      tail -n 40 "$log"
    } >&2
  fi
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "demo: $*" >&2
  exit 1
}

for program in quantd quantctl; do
  [ -x "$build/$program" ] ||
    fail "$build/$program is missing; run make build first"
done

start_server() {
  "$build/quantd" serve --data-dir "$work/data" --listen 127.0.0.1:0 \
    --metrics-listen 127.0.0.1:0 --slots 1 > "$log" 2>&1 &
  server_pid=$!
  # The line that says it is serving carries the port the system chose.
  local port=''
  for _ in $(seq 300); do
    port="$(sed -n '/serving/s/.*"port": *\([0-9][0-9]*\).*/\1/p' "$log" |
      head -n 1)"
    [ -z "$port" ] || break
    kill -0 "$server_pid" 2> /dev/null || fail "the server did not start"
    sleep 0.1
  done
  [ -n "$port" ] || fail "the server was not ready after 30 seconds"
  export QUANTD_SERVER="127.0.0.1:$port"
}

quantctl() {
  "$build/quantctl" "$@"
}

# Follows one job to its end: a bar on a terminal, one line elsewhere.
follow() {
  local what="$1" job="$2"
  if [ -t 1 ] && [ -t 2 ]; then
    quantctl jobs watch "$job" || job_failed "$what" "$job"
  else
    quantctl jobs watch "$job" > "$work/watch.log" 2>&1 ||
      job_failed "$what" "$job"
  fi
  echo "  done: $what"
}

job_failed() {
  cat "$work/watch.log" >&2 2> /dev/null || true
  quantctl jobs logs "$2" >&2 || true
  fail "$1 failed ($2)"
}

# Prints the name of the evaluation job.
submit_evaluation() {
  quantctl --quiet evaluate "$1" --metric "$metric" \
    --text "$model_dir/eval.txt"
}

echo "1. A server on a temporary directory"
start_server
echo "  quantd listens on $QUANTD_SERVER"

echo "2. The model"
quantctl models add "$model" "$model_dir" > /dev/null
quantctl models list

echo "3. Jobs: two methods at 4, 3 and 2 bits; an evaluation waits for each"
whats=("evaluate original")
jobs=("$(submit_evaluation "$model")")
for bits in 4 3 2; do
  for method in rtn gptq; do
    name="$method-$bits"
    job="$(quantctl --quiet quantize "$model" --method "$method" \
      --set "bits=$bits" --set group_size=64 \
      --calibration "$model_dir/calibration.txt" --name "$name")"
    whats+=("quantize $name" "evaluate $name")
    jobs+=("$job" "$(submit_evaluation "$name")")
  done
done
for i in "${!jobs[@]}"; do
  follow "${whats[$i]}" "${jobs[$i]}"
done

echo
echo "4. What the compression cost ($metric on eval.txt)"
echo
quantctl report "$model" --metric "$metric"

cat << END

Where to look next

  The server of this demo ends now. Start one of your own that keeps its data:
    $build/quantd serve --data-dir ~/quantd-data

  In another terminal:
    export PATH="$build:\$PATH"
    source <(quantctl completion bash)
    quantctl models add demo $model_dir
    quantctl methods show gptq
    quantctl quantize demo --method gptq --set bits=3 --set group_size=64 \\
      --calibration $model_dir/calibration.txt --name demo-3bit --wait
    quantctl evaluate demo-3bit --metric $metric \\
      --text $model_dir/eval.txt --wait --json
    quantctl artifacts get demo-3bit ./demo-3bit
    quantctl jobs list

  README.md guides through the code; ARCHITECTURE.md tells how it works.
END
