#!/bin/sh
# Runs a command on a host that forwards IPv4 packets, and puts the setting back: dockerd warns at
# each create where the host does not, and parity compares what it does where it works.
was=$(cat /proc/sys/net/ipv4/ip_forward)
trap 'echo "$was" >/proc/sys/net/ipv4/ip_forward' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
echo 1 >/proc/sys/net/ipv4/ip_forward
"$@"
