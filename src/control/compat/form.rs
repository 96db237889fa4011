//! Forms as browsers send them (`application/x-www-form-urlencoded`, WHATWG URL 5).

/// The fields of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form, or a query. Whatever the bytes are, it is some form; the bound of the body
    /// bounds it.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let fields = bytes.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
        let pair = |field: &[u8]| {
            let end = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
            (decode(&field[..end]), decode(field.get(end + 1..).unwrap_or_default()))
        };
        Self(fields.map(pair).collect())
    }

    /// The first value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn decode(bytes: &[u8]) -> String {
    let hex = |at: usize| {
        let digits = bytes.get(at + 1..at + 3)?;
        let digits = std::str::from_utf8(digits).ok()?;
        digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then(|| u8::from_str_radix(digits, 16).ok())?
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(at)) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_as_clients_write_them() {
        let form =
            Form::parse(b"project=bmi_infra&disk_name=a%2Eb+c&&img=&x&project=other&%=%4&y=%zz");
        let get = |name| form.get(name);
        assert_eq!(get("project"), Some("bmi_infra"), "the first one counts");
        assert_eq!(get("disk_name"), Some("a.b c"));
        assert_eq!((get("img"), get("x"), get("%")), (Some(""), Some(""), Some("%4")));
        assert_eq!((get("y"), get("none")), (Some("%zz"), None));
        assert_eq!(Form::parse(b"a=%C3%BC%FF").get("a"), Some("ü\u{fffd}"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_form(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let form = Form::parse(&bytes);
            let size: usize = form.0.iter().map(|(key, value)| key.len() + value.len()).sum();
            // A byte that is no UTF-8 takes three.
            prop_assert!(size <= 3 * bytes.len());
        }

        #[test]
        fn what_was_written_is_read(key in "[a-z]{1,8}", value in any::<String>()) {
            let text = format!("{key}={}", super::super::segment(&value));
            let trivial = ["", ".", ".."].contains(&value.as_str());
            prop_assert!(trivial || Form::parse(text.as_bytes()).get(&key) == Some(&value));
        }
    }
}
