#!/bin/sh
# SeaweedFS with a bucket and a key for each of its users; without a key it answers 403.
set -eu
listen=${LISTEN:-0.0.0.0}
umask 077
rm -f /tmp/ready
cat >/tmp/s3.json <<JSON
{"identities": [
  {"name": "mlflow", "credentials": [{"accessKey": "mlflow", "secretKey": "$STORE_MLFLOW_SECRET"}],
   "actions": ["Read:mlflow", "List:mlflow", "Tagging:mlflow", "Write:mlflow"]},
  {"name": "worker", "credentials": [{"accessKey": "worker", "secretKey": "$STORE_WORKER_SECRET"}],
   "actions": ["Read:dvc", "List:dvc", "Tagging:dvc", "Write:dvc"]}
]}
JSON
mkdir -p /var/lib/roadseg/store
cd /tmp
# all but S3 has no login, and stays on the container's own loopback
weed server -master.telemetry=false -s3.port.iceberg=0 -s3.port.lance=0 -dir=/var/lib/roadseg/store -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.port=18333 -volume.port=18334 \
  -filer -filer.port=18335 -s3 -s3.ip.bind="$listen" -s3.port=18330 -s3.config=/tmp/s3.json \
  -master.volumeSizeLimitMB=1024 -volume.max=0 &
weed=$!
trap 'kill -TERM $weed' TERM INT
(
  until [ "$(echo s3.bucket.list | weed shell -master=127.0.0.1:18333 -filer=127.0.0.1:18335 2>/dev/null \
    | grep -c -E '^ *(mlflow|dvc)\b')" = 2 ]; do
    for bucket in mlflow dvc; do echo "s3.bucket.create -name $bucket"; done \
      | weed shell -master=127.0.0.1:18333 -filer=127.0.0.1:18335 >/dev/null 2>&1 || true
    sleep 1
  done
  touch /tmp/ready
) &
wait "$weed" || true
wait "$weed" # the first one ends with the signal that is passed on
