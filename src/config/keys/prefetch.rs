//! The keys of `[prefetch]`.

use super::Sample::Default as Def;
use super::{Key, Kind, key, seconds};

pub(super) const PREFETCH: &[Key] = &[
    key(
        "readahead",
        Def("true"),
        Kind::Bool(|d, v| d.config.prefetch.readahead = v),
        "Read ahead of initiators that read on and on with one read in flight, as boot loaders do.",
    ),
    key(
        "boot_profiles",
        Def("true"),
        Kind::Bool(|d, v| d.config.prefetch.boot_profiles = v),
        "Learn what nodes read while they boot an image, keep that with the image, and fetch it \
         when the next node logs in.",
    ),
    key(
        "boot_seconds",
        Def("180"),
        Kind::Integer { min: 1, max: 3600, set: |d, v| d.config.prefetch.boot = seconds(v) },
        "What is read so long after the first login to a disk is taken for a part of the boot.",
    ),
    key(
        "boot_memory",
        Def("\"128MiB\""),
        Kind::Size { min: 0, max: 1 << 30, set: |d, v| d.config.prefetch.boot_bytes = v },
        "Most that one login has fetched; 0: boots are learnt, and nothing is fetched.",
    ),
];
