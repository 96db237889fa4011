//! Sizes as they are typed.

use std::str::FromStr;

use crate::config::parse_size;

/// What a disk is to grow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum NewSize {
    /// This size, in bytes.
    Bytes(u64),
    /// So many bytes more.
    More(u64),
}

impl FromStr for NewSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('+') {
            Some(more) => parse_size(more).map(Self::More),
            None => parse_size(text).map(Self::Bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_size_is_one_or_a_difference() {
        assert_eq!("40GiB".parse(), Ok(NewSize::Bytes(40 << 30)));
        assert_eq!("+4k".parse(), Ok(NewSize::More(4096)));
        for text in ["", "+", "-1G", "++1G", "big"] {
            assert!(text.parse::<NewSize>().is_err(), "{text}");
        }
    }
}
