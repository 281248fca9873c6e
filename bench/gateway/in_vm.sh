#!/usr/bin/env bash
# Runs a command of this repository in a virtual machine that sees this machine's files and has its
# own kernel, and so its own limits:
#
#     sudo bench/gateway/in_vm.sh .venvs/dev/bin/python bench/gateway/idle.py \
#         --results bench/results/idle_in_vm.json
#
# For machines on which `ulimit -Hn` cannot be raised to the 20,100 open files that idle.py needs.
# The machine's files are read-only there, what is written is forgotten when it ends, and only
# bench/results is kept. It has a loopback and no other network. Needs the Debian packages
# qemu-system-x86, busybox-static, cpio and linux-image-amd64 (another kernel: KERNEL=/path/to/vmlinuz
# and MODULES=/path/to/its/modules). The processor is emulated, some ten times slower, so take counts
# and memory from it and no times; ACCEL=kvm where that works.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
kernel=${KERNEL:-$(find /boot -name 'vmlinuz-*' | sort -V | tail -1)}
modules=${MODULES:-/lib/modules/${kernel##*/vmlinuz-}}
for program in qemu-system-x86_64 busybox cpio; do
    command -v "$program" >/dev/null || { echo "$program is missing - see the head of $0" >&2; exit 2; }
done
[ $# -gt 0 ] || { echo "usage: $0 COMMAND..." >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/initrd/{bin,lib,dev,proc,host,top,new}
cp "$(command -v busybox)" "$work/initrd/bin/"

# The modules that lead to the shared files, in the order in which they need one another.
for name in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
    netfs 9pnet 9pnet_virtio fscache 9p overlay; do
    found=$(find "$modules" -name "$name.ko" -print -quit)
    [ -z "$found" ] || { cp "$found" "$work/initrd/lib/"; echo "$name" >>"$work/initrd/lib/order"; }
done
[ -e "$work/initrd/lib/order" ] || { echo "no kernel modules in $modules" >&2; exit 2; }

printf '%q ' "$@" >"$work/initrd/command"
cat >"$work/initrd/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
for name in \$(/bin/busybox cat /lib/order); do /bin/busybox insmod /lib/\$name.ko; done
shared="trans=virtio,version=9p2000.L,msize=1048576"
/bin/busybox mount -t 9p -o ro,cache=loose,\$shared machine /host || exec /bin/busybox poweroff -f
/bin/busybox mount -t tmpfs none /top
/bin/busybox mkdir /top/upper /top/work
/bin/busybox mount -t overlay -o lowerdir=/host,upperdir=/top/upper,workdir=/top/work none /new
/bin/busybox mount -t proc none /new/proc
/bin/busybox mount -t sysfs none /new/sys
/bin/busybox mount --move /dev /new/dev
/bin/busybox mkdir -p /new/dev/shm
for directory in dev/shm tmp run; do /bin/busybox mount -t tmpfs none /new/\$directory; done
/bin/busybox mount -t 9p -o \$shared results "/new$root/bench/results"
/bin/busybox ip link set lo up
/bin/busybox cp /command /new/tmp/command
exec /bin/busybox switch_root /new /bin/bash -c '
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
    ulimit -n 65536
    cd "$root" && bash /tmp/command
    echo "left with \$?"
    echo o >/proc/sysrq-trigger
    while :; do :; done'
INIT
chmod +x "$work/initrd/init"
(cd "$work/initrd" && find . | cpio --quiet -o -H newc >"$work/initrd.cpio")

qemu-system-x86_64 -accel "${ACCEL:-tcg}" -cpu max,arch-capabilities=off -smp "$(nproc)" -m 6G -nic none \
    -kernel "$kernel" -initrd "$work/initrd.cpio" -append "console=ttyS0 quiet edd=off panic=-1" \
    -virtfs "local,path=/,mount_tag=machine,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$root/bench/results,mount_tag=results,security_model=none" \
    -display none -serial mon:stdio -no-reboot </dev/null | tee "$work/console"
grep -q '^left with 0' "$work/console"
