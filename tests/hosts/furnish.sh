#!/bin/sh
# Files of a host's own, then its process 1: furnish.sh NAME OWN SHARED INIT PATH... in mount and uts namespaces of its own.
#   OWN     folder with root, tmp and etc, which the host has as /root, /tmp and some files of /etc
#   SHARED  folder that all hosts have as /srv, as hosts of one's own have a disk over the network
#   INIT    the Python and the script of process 1, in one word
#   PATH    what stays where it is, read-only, even below /root or /tmp: the project, its environment, its Python
set -eu
name=$1 own=$2 shared=$3 init=$4
shift 4
hostname "$name"
mount -t tmpfs stage /mnt
mkdir /mnt/own /mnt/shared
mount --bind "$own" /mnt/own
mount --bind "$shared" /mnt/shared
number=0
for path in "$@"; do
  number=$((number + 1))
  mkdir "/mnt/$number"
  mount --bind "$path" "/mnt/$number"
done
mount --bind /mnt/own/root /root
mount --bind /mnt/own/tmp /tmp
mount --bind /mnt/shared /srv
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
for file in hosts shadow; do mount --bind "/mnt/own/etc/$file" "/etc/$file"; done
number=0
for path in "$@"; do
  number=$((number + 1))
  mkdir -p "$path"
  mount --bind "/mnt/$number" "$path"
  mount -o remount,bind,ro "$path"
done
umount --lazy /mnt
mkdir -m 0755 /run/sshd
# shellcheck disable=SC2086
exec $init
