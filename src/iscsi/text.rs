//! The text format of login and text PDUs (RFC 7143 6.1): lists of `key=value` pairs, each closed
//! by a zero byte, and the encodings of their values.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nom::bytes::complete::{tag, take_till, take_while_m_n};
use nom::sequence::{separated_pair, terminated};
use nom::{IResult, Parser};

/// Longest key name in bytes (RFC 7143 6.1, standard-label).
pub const KEY_BYTES_MAX: usize = 63;

/// Longest simple value in bytes, where the key does not allow more (RFC 7143 6.1).
pub const SIMPLE_VALUE_BYTES_MAX: usize = 255;

/// Longest value of any kind in bytes: lists and encoded binary values.
pub const VALUE_BYTES_MAX: usize = 8192;

/// Longest text in bytes that a peer may build up over several PDUs. RFC 7143 6.1 asks for 8192,
/// and for 64 KiB where authentication methods with long items are spoken.
pub const TEXT_BYTES_MAX: usize = 65536;

/// Most pairs in one text. Real initiators send about 25.
pub const PAIRS_MAX: usize = 256;

/// One `key=value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The key name.
    pub key: &'a str,
    /// The value, as sent.
    pub value: &'a str,
}

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextError {
    /// Longer than [`TEXT_BYTES_MAX`].
    TooLong,
    /// More than [`PAIRS_MAX`] pairs.
    TooManyPairs,
    /// What stands at this byte offset is not a `key=value` with a closing zero byte, or its key
    /// breaks the grammar.
    Malformed(usize),
    /// The value of the pair at this byte offset is longer than [`VALUE_BYTES_MAX`] or not UTF-8.
    BadValue(usize),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "text is longer than {TEXT_BYTES_MAX} bytes"),
            Self::TooManyPairs => write!(f, "text has more than {PAIRS_MAX} keys"),
            Self::Malformed(at) => write!(f, "text at byte {at} is not a key=value pair"),
            Self::BadValue(at) => {
                write!(f, "value of the key at byte {at} is too long or not UTF-8")
            }
        }
    }
}

impl std::error::Error for TextError {}

/// Splits a whole text into its pairs, in the order sent.
///
/// # Errors
/// When a limit is passed or anything in it is not a pair; there is no partial result.
pub fn parse(text: &[u8]) -> Result<Vec<Pair<'_>>, TextError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(TextError::TooLong);
    }
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let (after, (key, value)) = pair(rest).map_err(|_| TextError::Malformed(at))?;
        let (Ok(key), Ok(value)) = (str::from_utf8(key), str::from_utf8(value)) else {
            return Err(TextError::BadValue(at));
        };
        if value.len() > VALUE_BYTES_MAX {
            return Err(TextError::BadValue(at));
        }
        if pairs.len() == PAIRS_MAX {
            return Err(TextError::TooManyPairs);
        }
        pairs.push(Pair { key, value });
        rest = after;
    }
    Ok(pairs)
}

fn pair(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let key = take_while_m_n(1, KEY_BYTES_MAX, is_key_byte);
    let value = terminated(take_till(|byte| byte == 0), tag(&b"\0"[..]));
    separated_pair(key, tag(&b"="[..]), value).parse(input)
}

/// Whether `byte` may stand in a key name. `#` is not in the grammar of 6.1, but in the name of
/// 13.26 (`X#NodeArchitecture`); and a small first letter is in RFC 7144's `iSCSIProtocolLevel`.
fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-+@_#".contains(&byte)
}

/// The value of `key` in `pairs`.
#[must_use]
pub fn find<'a>(pairs: &[Pair<'a>], key: &str) -> Option<&'a str> {
    pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value)
}

/// Puts a text together out of the data segments of PDUs with the C bit (RFC 7143 6.2).
#[derive(Debug, Default)]
pub struct Assembler {
    text: Vec<u8>,
}

impl Assembler {
    /// Takes the next data segment; `more` is its C bit. Returns the text when it is whole.
    ///
    /// # Errors
    /// [`TextError::TooLong`]; what was gathered is dropped.
    pub fn push(&mut self, segment: &[u8], more: bool) -> Result<Option<Vec<u8>>, TextError> {
        if self.text.len() + segment.len() > TEXT_BYTES_MAX {
            self.text = Vec::new();
            return Err(TextError::TooLong);
        }
        self.text.extend_from_slice(segment);
        Ok(if more { None } else { Some(std::mem::take(&mut self.text)) })
    }
}

/// A text on its way out, split into data segments that the peer can take.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    sent: usize,
}

impl Writer {
    /// Appends a pair. Zero bytes in the value are left out: they would end it and make the rest
    /// a pair of its own.
    pub fn pair(&mut self, key: &str, value: impl fmt::Display) {
        let value = value.to_string();
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.push(b'=');
        self.bytes.extend(value.bytes().filter(|byte| *byte != 0));
        self.bytes.push(0);
    }

    /// Whether everything has been taken out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Takes out the next data segment of at most `limit` bytes. The C bit is for the caller to
    /// set if the writer is not empty afterwards.
    pub fn segment(&mut self, limit: usize) -> Vec<u8> {
        let end = self.bytes.len().min(self.sent + limit);
        let segment = self.bytes[self.sent..end].to_vec();
        self.sent = end;
        if self.is_empty() {
            *self = Self::default();
        }
        segment
    }
}

/// A numerical-value: decimal without leading zeros, or hexadecimal after `0x` (RFC 7143 6.1).
/// There is no octal. `None` if it is neither, does not fit, or is longer than
/// [`SIMPLE_VALUE_BYTES_MAX`].
#[must_use]
pub fn number(value: &str) -> Option<u64> {
    if value.len() > SIMPLE_VALUE_BYTES_MAX {
        return None;
    }
    if let Some(digits) = strip_prefix(value, "0x") {
        let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        return if hex { u64::from_str_radix(digits, 16).ok() } else { None };
    }
    let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    if !plain || (value.len() > 1 && value.starts_with('0')) {
        return None;
    }
    value.parse().ok()
}

/// A boolean-value: `Yes` or `No`.
#[must_use]
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        "Yes" => Some(true),
        "No" => Some(false),
        _ => None,
    }
}

/// A binary-value of 1 to `bytes_max` bytes in hexadecimal (`0x`) or base64 (`0b`). `None` if it is
/// neither, too long, or has an odd number of hexadecimal digits: which nibble is missing would
/// be a guess.
#[must_use]
pub fn binary(value: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let bytes = if let Some(digits) = strip_prefix(value, "0x") {
        if digits.len() > bytes_max.checked_mul(2)? {
            return None;
        }
        unhex(digits)?
    } else {
        let encoded = strip_prefix(value, "0b")?;
        if encoded.len() > bytes_max.div_ceil(3).checked_mul(4)? {
            return None;
        }
        BASE64.decode(encoded).ok()?
    };
    (1..=bytes_max).contains(&bytes.len()).then_some(bytes)
}

/// The values of a list-of-values.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',')
}

/// `bytes` as a hex-constant. Initiators with a small parser take `0x` in small letters only.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok()).collect()
}

/// The rest of `value` after `prefix`, whose letter may be small or capital.
fn strip_prefix<'a>(value: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = value.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[u8]) -> Result<Vec<(&str, &str)>, TextError> {
        parse(text).map(|pairs| pairs.into_iter().map(|p| (p.key, p.value)).collect())
    }

    #[test]
    fn splits_at_the_first_equals_sign() {
        assert_eq!(pairs(b"").unwrap(), []);
        assert_eq!(
            pairs(b"A=1\0TargetName=iqn.x:a=b\0Empty=\0").unwrap(),
            [("A", "1"), ("TargetName", "iqn.x:a=b"), ("Empty", "")]
        );
        assert_eq!(pairs(b"X#NodeArchitecture=a\0").unwrap(), [("X#NodeArchitecture", "a")]);
        assert_eq!(pairs("InitiatorAlias=gr\u{fc}n\0".as_bytes()).unwrap()[0].1, "gr\u{fc}n");
    }

    #[test]
    fn l19_bad_grammar_is_refused_with_its_place() {
        assert_eq!(pairs(b"A=1\0B=2"), Err(TextError::Malformed(4)));
        assert_eq!(pairs(b"A=1\0\0B=2\0"), Err(TextError::Malformed(4)));
        assert_eq!(pairs(b"A=1\0B\0"), Err(TextError::Malformed(4)));
        assert_eq!(pairs(b"=1\0"), Err(TextError::Malformed(0)));
        assert_eq!(pairs(b"A B=1\0"), Err(TextError::Malformed(0)));
        assert_eq!(pairs(b"A=\xff\0"), Err(TextError::BadValue(0)));
    }

    #[test]
    fn l19_lengths_are_bounded() {
        let text = |key: usize, value: usize| {
            [vec![b'K'; key], b"=".to_vec(), vec![b'v'; value], vec![0]].concat()
        };
        assert!(parse(&text(63, 8192)).is_ok());
        assert_eq!(parse(&text(64, 1)), Err(TextError::Malformed(0)));
        assert_eq!(parse(&text(1, 8193)), Err(TextError::BadValue(0)));
        assert_eq!(parse(&vec![b'a'; TEXT_BYTES_MAX + 1]), Err(TextError::TooLong));
        assert!(parse(&b"A=1\0".repeat(PAIRS_MAX)).is_ok());
        assert_eq!(parse(&b"A=1\0".repeat(PAIRS_MAX + 1)), Err(TextError::TooManyPairs));
    }

    #[test]
    fn l26_the_assembler_is_bounded_and_starts_anew() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(b"Initia", true), Ok(None));
        assert_eq!(assembler.push(b"", true), Ok(None));
        assert_eq!(assembler.push(b"torName=a\0", false), Ok(Some(b"InitiatorName=a\0".to_vec())));
        assert_eq!(assembler.push(b"", false), Ok(Some(vec![])));
        let piece = vec![b'a'; TEXT_BYTES_MAX / 2];
        assert_eq!(assembler.push(&piece, true), Ok(None));
        assert_eq!(assembler.push(&piece, true), Ok(None));
        assert_eq!(assembler.push(b"a", true), Err(TextError::TooLong));
        assert_eq!(assembler.push(b"A=1\0", false), Ok(Some(b"A=1\0".to_vec())));
    }

    #[test]
    fn the_writer_splits_and_never_lets_a_zero_byte_through() {
        let mut writer = Writer::default();
        writer.pair("TargetAlias", "a\0b");
        writer.pair("MaxConnections", 1);
        assert_eq!(writer.segment(10), b"TargetAlia");
        assert!(!writer.is_empty());
        assert_eq!(writer.segment(100), b"s=ab\0MaxConnections=1\0");
        assert!(writer.is_empty());
        assert_eq!(writer.segment(100), b"");
        writer.pair("A", "b");
        assert_eq!(writer.segment(100), b"A=b\0");
    }

    #[test]
    fn l23_numbers_are_decimal_or_hexadecimal() {
        for (text, value) in [
            ("0", Some(0)),
            ("262144", Some(262_144)),
            ("0x10", Some(16)),
            ("0XfF", Some(255)),
            ("0x00000000000000000001", Some(1)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("010", None),
            ("00", None),
            ("", None),
            ("0x", None),
            ("+1", None),
            ("0x+1", None),
            ("-1", None),
            ("1 ", None),
            ("1~2", None),
            ("Yes", None),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
        assert_eq!(number(&format!("0x{}1", "0".repeat(252))), Some(1));
        assert_eq!(number(&format!("0x{}1", "0".repeat(253))), None, "256 bytes");
    }

    #[test]
    fn l08_binary_values_in_both_encodings() {
        for (text, value) in [
            ("0x00fF", Some(&b"\x00\xff"[..])),
            ("0X00", Some(b"\x00")),
            ("0bAP8=", Some(b"\x00\xff")),
            ("0BAP8=", Some(b"\x00\xff")),
            ("0x0", None),
            ("0x00f", None),
            ("0x", None),
            ("0b", None),
            ("0bAP8", None),
            ("0bA===", None),
            ("0xgg", None),
            ("00ff", None),
            ("255", None),
            ("", None),
        ] {
            assert_eq!(binary(text, 1024).as_deref(), value, "{text}");
        }
    }

    #[test]
    fn l08_binary_values_are_bounded_before_they_are_decoded() {
        assert_eq!(binary(&hex(&[7; 1024]), 1024), Some(vec![7; 1024]));
        assert_eq!(binary(&hex(&[7; 1025]), 1024), None);
        let base64 = |bytes: usize| format!("0b{}", BASE64.encode(vec![7; bytes]));
        assert_eq!(binary(&base64(1024), 1024), Some(vec![7; 1024]));
        assert_eq!(binary(&base64(1025), 1024), None);
        assert_eq!(binary(&base64(1026), 1024), None);
    }

    #[test]
    fn a_text_may_be_as_long_as_the_limit() {
        // Eight pairs of 8 KiB.
        let text = format!("k={}\0", "v".repeat(8189)).repeat(8).into_bytes();
        assert_eq!(text.len(), TEXT_BYTES_MAX);
        assert_eq!(parse(&text).map(|pairs| pairs.len()), Ok(8));
        assert_eq!(parse(&[&text[..], b"\0"].concat()), Err(TextError::TooLong));
    }
}
