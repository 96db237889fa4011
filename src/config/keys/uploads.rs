//! The keys of `[uploads]`.

use super::Sample::{Default as Def, Example as Ex};
use super::{Key, Kind, key, parse, seconds};

pub(super) const UPLOADS: &[Key] = &[
    key(
        "directory",
        Ex("\"/var/lib/stirrup/uploads\""),
        Kind::Text {
            what: "a path",
            set: |d, v| parse::path(v).map(|v| d.config.uploads.directory = Some(v)),
        },
        "Where qcow2 files lie until they are complete; raw files go into their store as they come. \
         A directory of its own; `uploads` in `state_dir` when not given.",
    ),
    key(
        "max_bytes",
        Def("\"64GiB\""),
        Kind::Size { min: 0, max: 1 << 50, set: |d, v| d.config.uploads.max_bytes = v },
        "Most bytes of these files together, as announced; 0: images are uploaded raw.",
    ),
    key(
        "expiry_seconds",
        Def("86400"),
        Kind::Integer {
            min: 60,
            max: 31_536_000,
            set: |d, v| d.config.uploads.expiry = seconds(v),
        },
        "An upload to which nothing comes for so long is given up.",
    ),
];
