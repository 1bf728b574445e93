#!/bin/sh
# Caddy knows the model server's login as a hash only.
set -eu
MODELS_HASH=$(printf '%s\n' "$MODELS_PASSWORD" | caddy hash-password)
unset MODELS_PASSWORD
export MODELS_HASH XDG_CONFIG_HOME=/tmp XDG_DATA_HOME=/var/lib/roadseg
exec caddy run --config /etc/roadseg/Caddyfile --adapter caddyfile
