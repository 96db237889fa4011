//! The protocol of tgtd's management socket, as of tgt 1.0: one fixed structure of the machine's own
//! byte order, and text behind it; one request a connection.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of a driver's name.
const DRIVER_BYTES: usize = 64;
/// `sizeof(struct tgtadm_req)`: two enumerations, the driver, length and target, session and LUN
/// (64 bits each, and aligned), and six numbers of 32 bits.
const REQUEST_BYTES: usize = 8 + DRIVER_BYTES + 8 + 16 + 24;
/// `sizeof(struct tgtadm_rsp)`.
const RESPONSE_BYTES: usize = 8;
/// Largest text behind a request; tgtd takes no more.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// What is to be done (`enum tgtadm_op`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    New,
    Delete,
    Show,
    Bind,
    Unbind,
    Update,
    Stats,
    Start,
    Stop,
}

/// To what (`enum tgtadm_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    System,
    Target,
    LogicalUnit,
    Portal,
    Driver,
    Session,
    Connection,
    Account,
}

const OPS: [Op; 9] = [
    Op::New,
    Op::Delete,
    Op::Show,
    Op::Bind,
    Op::Unbind,
    Op::Update,
    Op::Stats,
    Op::Start,
    Op::Stop,
];

const MODES: [Mode; 8] = [
    Mode::System,
    Mode::Target,
    Mode::LogicalUnit,
    Mode::Portal,
    Mode::Driver,
    Mode::Session,
    Mode::Connection,
    Mode::Account,
];

/// Why a request failed (`enum tgtadm_errno`); `tgtadm` has a line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errno {
    Unknown = 1,
    NoDriver = 3,
    NoTarget = 4,
    NoLun = 5,
    NoSession = 6,
    TargetExists = 9,
    LunExists = 10,
    AclExists = 12,
    NoAcl = 13,
    UserExists = 14,
    NoUser = 15,
    TooManyUsers = 16,
    InvalidRequest = 17,
    OutgoingExists = 18,
    TargetActive = 19,
    Unsupported = 22,
    UnknownParameter = 23,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) mode: Mode,
    pub(super) op: Op,
    /// Name of the driver; empty: the first there is.
    pub(super) driver: String,
    /// Number of the target; negative: none.
    pub(super) tid: i32,
    pub(super) sid: u64,
    pub(super) lun: u64,
    /// Peripheral device type (SPC-5 6.7.2) of a new logical unit; 0: a disk.
    pub(super) device_type: u32,
    pub(super) outgoing: bool,
    pub(super) force: bool,
    /// `key=value,key=value`.
    pub(super) text: String,
}

/// Text to be shown, or why not.
pub(super) type Answer = Result<String, Errno>;

/// Reads a request; `None`: it is none that tgtd knows, and is to be answered so.
///
/// # Errors
/// When the peer hangs up, or its text is too long.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Request>> {
    let mut head = [0; REQUEST_BYTES];
    stream.read_exact(&mut head).await?;
    let length = u32_at(&head, 8 + DRIVER_BYTES) as usize;
    let text_bytes = length.checked_sub(REQUEST_BYTES).filter(|bytes| *bytes <= TEXT_BYTES_MAX);
    let Some(text_bytes) = text_bytes else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a request of impossible length"));
    };
    let mut text = vec![0; text_bytes];
    stream.read_exact(&mut text).await?;
    Ok(decode(&head, &text))
}

fn decode(head: &[u8; REQUEST_BYTES], text: &[u8]) -> Option<Request> {
    let after = 8 + DRIVER_BYTES;
    Some(Request {
        mode: *MODES.get(u32_at(head, 0) as usize)?,
        op: *OPS.get(u32_at(head, 4) as usize)?,
        driver: c_string(&head[8..after])?,
        tid: u32_at(head, after + 4).cast_signed(),
        sid: u64_at(head, after + 8),
        lun: u64_at(head, after + 16),
        device_type: u32_at(head, after + 24 + 8),
        outgoing: u32_at(head, after + 24 + 12) != 0,
        force: u32_at(head, after + 24 + 20) != 0,
        text: c_string(text)?,
    })
}

/// Up to the first zero byte, if there is one.
fn c_string(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8(bytes[..end].to_vec()).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_ne_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(number)
}

/// Sends an answer. `tgtadm` prints the text up to a zero byte, which is sent as tgtd sends it.
///
/// # Errors
/// When the peer has hung up.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: &Answer,
) -> io::Result<()> {
    stream.write_all(&encode(answer)).await?;
    stream.shutdown().await
}

fn encode(answer: &Answer) -> Vec<u8> {
    let (errno, text) = match answer {
        Ok(text) => (0, text.as_bytes()),
        Err(errno) => (*errno as u32, &[][..]),
    };
    let zero = usize::from(!text.is_empty());
    let length = u32::try_from(RESPONSE_BYTES + text.len() + zero).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(RESPONSE_BYTES + text.len() + zero);
    bytes.extend(errno.to_ne_bytes());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(text);
    bytes.extend(&[0][..zero]);
    bytes
}

impl Request {
    /// The value of a key, where keys and values stand in a list with commas.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let mut fields = self.text.split(',').filter_map(|field| field.split_once('='));
        fields.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The value of a key that is the last one: it may have commas in it.
    pub(super) fn rest(&self, key: &str) -> Option<&str> {
        let text = &self.text;
        let at = text.match_indices(key).map(|(at, _)| at).find(|at| {
            let begins = *at == 0 || text.as_bytes().get(at - 1) == Some(&b',');
            begins && text.as_bytes().get(at + key.len()) == Some(&b'=')
        })?;
        text.get(at + key.len() + 1..)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What tgtadm sends for `--lld iscsi --op new --mode target --tid 7 -T iqn.x`.
    fn request(mode: u32, op: u32, tid: i32, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(mode.to_ne_bytes());
        bytes.extend(op.to_ne_bytes());
        let mut driver = [0; DRIVER_BYTES];
        driver[..5].copy_from_slice(b"iscsi");
        bytes.extend(driver);
        let text_bytes = if text.is_empty() { 0 } else { text.len() + 1 };
        bytes.extend(((REQUEST_BYTES + text_bytes) as u32).to_ne_bytes());
        bytes.extend(tid.to_ne_bytes());
        bytes.extend(3_u64.to_ne_bytes());
        bytes.extend(u64::MAX.to_ne_bytes());
        for number in [0_u32, 0, 0, 1, 0, 1] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(text.as_bytes());
        bytes.extend(vec![0; text_bytes.min(1)]);
        bytes
    }

    #[tokio::test]
    async fn a_request_of_tgtadm() {
        let bytes = request(1, 0, 7, "targetname=iqn.x,state=a");
        assert_eq!(REQUEST_BYTES, 120);
        let read = read(&mut &bytes[..]).await.unwrap().unwrap();
        assert_eq!((read.mode, read.op, read.tid), (Mode::Target, Op::New, 7));
        assert_eq!((read.driver.as_str(), read.sid, read.lun), ("iscsi", 3, u64::MAX));
        assert!(read.outgoing && read.force);
        assert_eq!((read.value("targetname"), read.value("name")), (Some("iqn.x"), None));
        assert_eq!(read.rest("targetname"), Some("iqn.x,state=a"));
        assert_eq!(read.rest("name"), None, "no key ends in the middle");
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused() {
        assert!(read(&mut &request(9, 0, 1, "")[..]).await.unwrap().is_none());
        assert!(read(&mut &request(1, 9, 1, "")[..]).await.unwrap().is_none());
        let cut = request(1, 0, 1, "targetname=x");
        assert!(read(&mut &cut[..cut.len() - 1]).await.is_err());
        let mut long = request(1, 0, 1, "");
        for length in [0_u32, 119, 120 + 8193, u32::MAX] {
            long[72..76].copy_from_slice(&length.to_ne_bytes());
            assert!(read(&mut &long[..]).await.is_err(), "{length}");
        }
    }

    #[test]
    fn answers() {
        let [four, eight] = [4_u32.to_ne_bytes(), 8_u32.to_ne_bytes()];
        assert_eq!(encode(&Err(Errno::NoTarget)), [four, eight].concat());
        assert_eq!(encode(&Ok(String::new())), [[0; 4], eight].concat());
        let shown = encode(&Ok("x\n".to_owned()));
        assert_eq!(shown, [&[0; 4][..], &11_u32.to_ne_bytes(), b"x\n\0"].concat());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Ok(Some(request)) = runtime.block_on(read(&mut &bytes[..])) {
                let _ = (request.value("path"), request.rest("path"));
            }
        }
    }
}
