#!/bin/sh
# Compiles the init of containers: cmd/engine-init/build.sh FILE
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec ${CC:-gcc} -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fcf-protection=none -fno-pie -no-pie -nostdlib -static -s \
	-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,separate-code -Wl,-z,max-page-size=4096 \
	-o "$1" "$here/src/init.c"
