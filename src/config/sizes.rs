//! Sizes with units, as in the file and on the command line.

/// Suffixes and their powers of two, largest first.
const UNITS: [(&str, u32); 5] = [("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];

/// Reads a size in bytes: a whole number with an optional unit `K`, `M`, `G`, `T` or `P`, also
/// written `KiB`, `MiB` and so on (powers of 1024 either way), or `B`.
///
/// # Errors
/// One line that says what is allowed.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = shift_of(unit.trim_start());
    let number = number.parse::<u64>().ok();
    match (number, shift) {
        (Some(number), Some(shift)) => number
            .checked_mul(1 << shift)
            .ok_or_else(|| format!("the size `{text}` does not fit into 64 bits")),
        _ => {
            Err(format!("`{text}` is not a size: write a whole number and a unit, like \"64MiB\""))
        }
    }
}

fn shift_of(unit: &str) -> Option<u32> {
    if unit.is_empty() || unit.eq_ignore_ascii_case("B") {
        return Some(0);
    }
    let (name, shift) = UNITS
        .iter()
        .find(|(name, _)| unit.get(..1).is_some_and(|u| u.eq_ignore_ascii_case(name)))?;
    let rest = &unit[name.len()..];
    (rest.is_empty() || rest.eq_ignore_ascii_case("iB")).then_some(*shift)
}

/// Writes a size with the largest unit that divides it: `64MiB`, `1000B`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    UNITS
        .iter()
        .find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift)
        .map_or_else(|| format!("{bytes}B"), |(name, shift)| format!("{}{name}iB", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("1k", 1024),
            ("64MiB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("2G", 2 << 30),
            ("16EiB", 0),
            ("3TiB", 3 << 40),
            ("1PiB", 1 << 50),
        ] {
            match bytes {
                0 if text != "0" => assert!(parse_size(text).is_err(), "{text}"),
                bytes => assert_eq!(parse_size(text), Ok(bytes), "{text}"),
            }
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5G",
            "1MB",
            "1GiBs",
            "0x10",
            "16384PiB",
            "1µ",
            "99999999999999999999",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn written_and_read_again() {
        for bytes in [0, 1, 1000, 1024, 1536, 64 << 20, u64::MAX, 1 << 63] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
        assert_eq!(format_size(64 << 20), "64MiB");
        assert_eq!(format_size(1000), "1000B");
    }
}
