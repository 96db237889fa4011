//! Additional Header Segments (RFC 7143 11.2.2).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

/// Segments a command may carry: one of each type.
const AHS_COUNT_MAX: usize = 2;

/// An additional header segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahs<'a> {
    /// The rest of a CDB longer than 16 bytes (type 1).
    ExtendedCdb(&'a [u8]),
    /// Expected bidirectional read data length in bytes (type 2).
    BidirectionalReadLength(u32),
}

/// Why the segments make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AhsError {
    /// A length goes beyond what there is, or is not what the type has.
    Length,
    /// Type that RFC 7143 does not assign.
    UnknownType(u8),
    /// The same type twice.
    Repeated,
}

/// One segment: its type and what follows the reserved/type byte; padding is consumed.
fn segment(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    let (rest, (len, kind)) = (be_u16, be_u8).parse(input)?;
    let (rest, body) = take(usize::from(len)).parse(rest)?;
    let (rest, _padding) = take(super::frame::padding_of(3 + usize::from(len))).parse(rest)?;
    Ok((rest, (kind & 0x3f, body)))
}

/// The segments in `bytes` (padded as on the wire), at most one of each type.
///
/// # Errors
/// When they are not consistent; the PDU is to be rejected (RFC 7143 11.17.1, invalid field).
pub fn parse_ahs(bytes: &[u8]) -> Result<[Option<Ahs<'_>>; AHS_COUNT_MAX], AhsError> {
    let mut found = [None; AHS_COUNT_MAX];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (after, (kind, body)) = segment(rest).map_err(|_| AhsError::Length)?;
        // Both types begin with a reserved byte, which the length counts.
        let Some((_reserved, value)) = body.split_first() else { return Err(AhsError::Length) };
        let (slot, ahs) = match kind {
            1 if !value.is_empty() => (0, Ahs::ExtendedCdb(value)),
            2 => {
                let value = value.try_into().map_err(|_| AhsError::Length)?;
                (1, Ahs::BidirectionalReadLength(u32::from_be_bytes(value)))
            }
            1 => return Err(AhsError::Length),
            other => return Err(AhsError::UnknownType(other)),
        };
        if found[slot].replace(ahs).is_some() {
            return Err(AhsError::Repeated);
        }
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_cdb_and_a_bidirectional_length() {
        let bytes = [
            0, 5, 1, 0, 0xaa, 0xbb, 0xcc, 0xdd, // 4 bytes of CDB
            0, 5, 2, 0, 0, 0, 0x10, 0, // 4096 bytes
        ];
        assert_eq!(
            parse_ahs(&bytes),
            Ok([
                Some(Ahs::ExtendedCdb(&[0xaa, 0xbb, 0xcc, 0xdd])),
                Some(Ahs::BidirectionalReadLength(4096))
            ])
        );
        assert_eq!(parse_ahs(&[]), Ok([None, None]));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert_eq!(parse_ahs(&[0, 9, 1, 0, 1, 2, 3, 4]), Err(AhsError::Length));
        assert_eq!(parse_ahs(&[0xff, 0xff, 1, 0]), Err(AhsError::Length));
        assert_eq!(parse_ahs(&[0, 0, 1, 0]), Err(AhsError::Length));
        assert_eq!(parse_ahs(&[0, 1, 1, 0]), Err(AhsError::Length));
        assert_eq!(parse_ahs(&[0, 2, 2, 0, 1, 0, 0, 0]), Err(AhsError::Length));
        assert_eq!(parse_ahs(&[0, 1, 9, 0]), Err(AhsError::UnknownType(9)));
        let twice = [0, 5, 2, 0, 0, 0, 0, 1, 0, 5, 2, 0, 0, 0, 0, 1];
        assert_eq!(parse_ahs(&twice), Err(AhsError::Repeated));
    }
}
