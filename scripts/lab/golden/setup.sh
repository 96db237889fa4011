# Run inside the golden image's tree while it is built: everything that makes a plain Debian a
# diskless node's root.
set -eu

# The root comes over iSCSI, with all parameters from the firmware's iBFT.
echo 'ISCSI_AUTO=true' >/etc/iscsi/iscsi.initramfs
echo 'InitiatorName=iqn.2026-01.org.example:from-the-image' >/etc/iscsi/initiatorname.iscsi
sed -i 's/^MODULES=.*/MODULES=list/; s/^#\{0,1\} *COMPRESS=.*/COMPRESS=zstd/' \
    /etc/initramfs-tools/initramfs.conf
printf '%s\n' virtio_pci virtio_net virtio_blk sd_mod iscsi_tcp iscsi_ibft crc32c_intel ext4 \
    e1000 e1000e >>/etc/initramfs-tools/modules
echo update_initramfs=yes >/etc/initramfs-tools/update-initramfs.conf

echo golden >/etc/hostname
echo '/dev/disk/by-partlabel/root / ext4 rw,noatime,_netdev 0 0' >/etc/fstab
passwd -d root >/dev/null

chmod 755 /usr/local/sbin/lab-report
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s ../lab-report.service /etc/systemd/system/multi-user.target.wants/
for unit in e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer \
    fstrim.timer dpkg-db-backup.timer systemd-timesyncd.service getty-static.service \
    getty@tty1.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done

version=$(basename /lib/modules/*)
cd "/lib/modules/$version/kernel"
rm -rf sound drivers/gpu drivers/media drivers/infiniband drivers/hv net/openvswitch \
    drivers/net/ethernet/mellanox drivers/net/ethernet/amazon drivers/net/wireless \
    fs/btrfs fs/ceph fs/nfs fs/nfsd fs/smb fs/ocfs2 fs/gfs2
depmod "$version"
update-initramfs -c -k "$version"

sed "s/@VERSION@/$version/g" /lab-grub.cfg >/boot/grub.cfg
rm -rf /lab-grub.cfg /boot/System.map-* /var/cache/apt/* /var/lib/apt/lists/* /etc/resolv.conf
