#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Becomes libvirtd of a host of its own: run it in new network, mount and UTS namespaces. What
# libvirt has below /etc, /run and /var is FOLDER's then, and the machine's own is not touched.
# usage: host.sh NAME FOLDER DRIVERS QEMU BUILD
# DRIVERS  where libvirt's driver of QEMU is
# QEMU     the cache with it, seen below /run/ferry by users that do not reach its place
# BUILD    Ferry's build folder, likewise
set -eu

name=$1 folder=$2 drivers=$3 qemu=$4 build=$5
mount --make-rprivate /
hostname "$name"
mkdir -p "$folder/etc" "$folder/log" "$folder/drivers" "$folder/own"

# The daemon looks up these users when it starts. Its packages do not make them: that is done
# by the one that starts daemons as well.
mount -t tmpfs tmpfs "$folder/own"
for kind in passwd group; do
    grep -v -e '^libvirt-qemu:' -e '^ferry:' /etc/$kind >"$folder/own/$kind"
done
echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>"$folder/own/passwd"
printf 'libvirt-qemu:x:64055:\nferry:x:64999:libvirt-qemu\n' >>"$folder/own/group"
# The target tells the source its name, and that has to be found.
printf '127.0.0.1 localhost\n10.0.0.1 a\n10.0.0.2 b\n' >"$folder/own/hosts"
for kind in passwd group hosts; do
    mount --bind "$folder/own/$kind" /etc/$kind
done

for part in lib cache log; do
    mkdir "$folder/own/$part" "$folder/own/$part.work"
    mount -t overlay overlay /var/$part \
        -o "lowerdir=/var/$part,upperdir=$folder/own/$part,workdir=$folder/own/$part.work"
done
mkdir -p /var/log/libvirt
mount --bind "$folder/log" /var/log/libvirt
mkdir "$folder/own/run" "$folder/own/run/ferry" "$folder/own/run/ferry/qemu" \
    "$folder/own/run/ferry/build"
mount --bind "$qemu" "$folder/own/run/ferry/qemu"
mount --bind "$build" "$folder/own/run/ferry/build"
mount --rbind "$folder/own/run" /run
mount --bind "$folder/etc" /etc/libvirt

# The guests do without, and a KVM that libvirt may use and QEMU cannot makes libvirt ask QEMU
# for what it can do again and again.
if [ -e /dev/kvm ]; then
    : >"$folder/own/kvm"
    chmod 000 "$folder/own/kvm"
    mount --bind "$folder/own/kvm" /dev/kvm
fi

# Networks, disks and host devices are not part of this.
ln -s "$drivers/libvirt_driver_qemu.so" "$folder/drivers"
export LIBVIRT_DRIVER_DIR="$folder/drivers"

cat >/etc/libvirt/libvirtd.conf <<EOF
auth_unix_rw = "none"
auth_unix_ro = "none"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
EOF
# As few of the machine's means as possible; what is left to QEMU is its user and its sandbox.
cat >/etc/libvirt/qemu.conf <<EOF
user = "libvirt-qemu"
group = "libvirt-qemu"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
EOF
ip link set lo up
exec libvirtd --listen
