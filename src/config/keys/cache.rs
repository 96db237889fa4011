//! The keys of `[cache]`.

use super::Sample::Default as Def;
use super::{Key, Kind, key, parse};

pub(super) const CACHE: &[Key] = &[
    key(
        "golden_memory",
        Def("\"256MiB\""),
        Kind::Size { min: 0, max: 1 << 44, set: |d, v| d.config.cache.golden_memory_bytes = v },
        "Memory for blocks of golden images, which all clones on this gateway share; 0: none. What \
         a node reads while it boots is a good measure, for each image in use.",
    ),
    key(
        "golden_file",
        Def("0"),
        Kind::Size { min: 0, max: 1 << 50, set: |d, v| d.config.cache.golden_file_bytes = v },
        "Room in a file on a local disk for blocks of golden images that find none in memory; 0: no \
         file. The file has no name and ends with the daemon. Worth its while if the disk is faster \
         than Ceph; takes about 4 MiB of memory a GiB.",
    ),
    key(
        "golden_file_directory",
        Def("\"/var/tmp\""),
        Kind::Text {
            what: "an absolute path",
            set: |d, v| parse::path(v).map(|v| d.config.cache.golden_file_directory = v),
        },
        "Directory of that file.",
    ),
    key(
        "disk_memory",
        Def("\"64MiB\""),
        Kind::Size { min: 0, max: 1 << 44, set: |d, v| d.config.cache.disk_memory_bytes = v },
        "Memory for blocks that disks have written themselves, shared by all disks; 0: none. It \
         helps what reads without a cache of its own, as boot loaders do.",
    ),
];
