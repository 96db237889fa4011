//! What the holder of a certificate is called.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// 2.5.4.3, `id-at-commonName` (RFC 5280 appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `UTF8String`, `PrintableString`, `IA5String`: those that are UTF-8 as they are.
const STRINGS: [u8; 3] = [0x0c, 0x13, 0x16];

/// The name of the holder: the common name of the subject, which has to be one of the DNS names and
/// URIs in the subject's alternative names if there are some, since authorities look at those first
/// (RFC 9525 1.2); without a common name, the only one of those. `None` if that leaves open who it
/// is. It says nothing unless the certificate was verified.
#[must_use]
pub fn name_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let common = common_names(certificate.subject())?;
    let others: Vec<&str> =
        certificate.valid_dns_names().chain(certificate.valid_uri_names()).collect();
    let is_vouched_for = |name: &str| others.iter().any(|other| other.eq_ignore_ascii_case(name));
    match (common.as_slice(), others.as_slice()) {
        ([name], others) if others.is_empty() || is_vouched_for(name) => Some((*name).to_owned()),
        ([], [name]) => Some((*name).to_owned()),
        _ => None,
    }
}

/// The common names in a subject (RFC 5280 4.1.2.4: a sequence of sets of pairs of type and value,
/// here without the outer tag); `None` if one of them is of a kind that is not understood.
fn common_names(mut subject: &[u8]) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    while !subject.is_empty() {
        let (SET, mut set) = element(&mut subject)? else { return None };
        while !set.is_empty() {
            let (SEQUENCE, mut pair) = element(&mut set)? else { return None };
            let (OBJECT_IDENTIFIER, kind) = element(&mut pair)? else { return None };
            let (tag, value) = element(&mut pair)?;
            if kind == COMMON_NAME {
                let text = std::str::from_utf8(value).ok();
                names.push(text.filter(|_| STRINGS.contains(&tag))?);
            }
        }
    }
    Some(names)
}

/// Takes an element off the front of DER (X.690 8.1): its tag and its content.
fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some((tag, content))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn named(common: &[DnValue], others: &[SanType]) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        for name in common {
            params.distinguished_name.push(DnType::CommonName, name.clone());
        }
        params.subject_alt_names = others.to_vec();
        let key = KeyPair::generate().unwrap();
        name_of(params.self_signed(&key).unwrap().der())
    }

    #[test]
    fn a_certificate_has_one_name() {
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        let utf8 = |name: &str| DnValue::Utf8String(name.to_owned());
        let printable = DnValue::PrintableString("ci 1".try_into().unwrap());
        assert_eq!(named(&[utf8("ci")], &[]).unwrap(), "ci");
        assert_eq!(named(&[printable], &[]).unwrap(), "ci 1");
        let several = [dns("puppet.example"), dns("foreman.example")];
        assert_eq!(named(&[utf8("foreman.example")], &several).unwrap(), "foreman.example");
        assert_eq!(named(&[utf8("Foreman.example")], &several).unwrap(), "Foreman.example");
        assert_eq!(named(&[utf8("foreman.example")], &[dns("mallory.example")]), None, "made up");
        assert_eq!(named(&[], &[dns("foreman.example")]).unwrap(), "foreman.example");
        assert_eq!(named(&[], &[uri("spiffe://example/ci")]).unwrap(), "spiffe://example/ci");
        assert_eq!(named(&[], &[]), None);
        assert_eq!(named(&[], &[dns("a.example"), dns("b.example")]), None, "which one?");
        assert_eq!(named(&[], &[dns("a.example"), uri("x://b")]), None);
        let wide = DnValue::BmpString("ci".try_into().unwrap());
        assert_eq!(named(&[wide], &[dns("ci.example")]), None, "a CN that is not understood");
    }

    #[test]
    fn subjects_that_make_no_sense_name_nobody() {
        let good = [0x31, 11, 0x30, 9, 0x06, 3, 0x55, 4, 3, 0x0c, 2, b'c', b'i'];
        assert_eq!(common_names(&good), Some(vec!["ci"]));
        assert_eq!(common_names(&[good, good].concat()), Some(vec!["ci", "ci"]));
        for length in 1..good.len() {
            assert_eq!(common_names(&good[..length]), None, "{length} bytes of it");
        }
        for at in [0, 2, 4, 9] {
            let mut bad = good;
            bad[at] = 0x04;
            assert_eq!(common_names(&bad), None, "tag at {at}");
        }
        for length in [0x80, 0x83, 0x84, 0xff] {
            let mut bad = good;
            bad[1] = length;
            assert_eq!(common_names(&bad), None, "length {length}");
        }
        assert_eq!(name_of(&CertificateDer::from(good.to_vec())), None);
    }
}
