# Run inside the initiator guest's tree while it is built: an initramfs of the few modules that
# find the root, and a configuration that starts nothing by itself.
set -eu

version=$(basename /lib/modules/*)
initramfs=/tmp/initramfs
mkdir -p "$initramfs/bin" "$initramfs/modules"
cp "$(command -v busybox)" "$initramfs/bin/busybox"
mv /lab-initramfs-init "$initramfs/init"
chmod 755 "$initramfs/init"
for module in virtio_pci virtio_blk ext4 crc32c_generic; do
    modprobe --set-version "$version" --show-depends "$module" | while read -r kind file _; do
        [ "$kind" = insmod ] || continue
        name=$(basename "$file" | sed 's/\.ko.*/.ko/')
        grep -qsx "$name" "$initramfs/modules/order" && continue
        case $file in
            *.xz) xz -dc "$file" >"$initramfs/modules/$name" ;;
            *.zst) zstd -qdc "$file" >"$initramfs/modules/$name" ;;
            *) cp "$file" "$initramfs/modules/$name" ;;
        esac
        echo "$name" >>"$initramfs/modules/order"
    done
done
(cd "$initramfs" && find . | cpio --quiet -o -H newc) >/boot/initrd-lab
rm -rf "$initramfs"
mv "/boot/vmlinuz-$version" /boot/vmlinuz-lab

cd "/lib/modules/$version/kernel"
rm -rf sound drivers/gpu drivers/media drivers/infiniband drivers/hv drivers/usb drivers/staging \
    drivers/iio drivers/hid drivers/input drivers/platform drivers/bluetooth drivers/isdn \
    drivers/net/wireless drivers/net/ethernet drivers/hwmon drivers/mtd net/wireless net/bluetooth \
    net/mac80211 fs/ceph fs/gfs2 fs/ocfs2 fs/btrfs fs/nfsd
depmod "$version"

chmod 755 /sbin/lab-init
sed -i -e 's|^iscsid.startup.*|iscsid.startup = /sbin/iscsid|' \
    -e 's|^node.startup.*|node.startup = manual|' /etc/iscsi/iscsid.conf
echo 'InitiatorName=iqn.2026-01.org.example:guest' >/etc/iscsi/initiatorname.iscsi
rm -rf /boot/System.map-* /boot/config-* /var/cache/apt/* /var/lib/apt/lists/* /etc/resolv.conf
