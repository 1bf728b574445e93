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
# Only S3 has a login; the others stay on the container's own loopback. S3's gRPC (28330), which would make an
# administrator of whoever asks, always listens where S3 does: it takes callers with a certificate of an authority whose
# key nobody has. Without these files weed would let everybody in, so look at them first.
cat /etc/roadseg/nobody/authority.pem /etc/roadseg/nobody/cert.pem /etc/roadseg/nobody/key.pem >/dev/null
cat >/tmp/security.toml <<TOML
[grpc]
ca = "/etc/roadseg/nobody/authority.pem"
[grpc.s3]
cert = "/etc/roadseg/nobody/cert.pem"
key = "/etc/roadseg/nobody/key.pem"
TOML
weed server -dir=/var/lib/roadseg/store -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false \
  -master.port=18333 -volume.port=18334 -filer -filer.port=18335 -master.volumeSizeLimitMB=1024 -volume.max=0 \
  -s3 -s3.ip.bind="$listen" -s3.port=18330 -s3.port.iceberg=0 -s3.port.lance=0 -s3.config=/tmp/s3.json &
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
