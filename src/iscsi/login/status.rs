//! How a login ends (RFC 7143 11.13.5).

use std::borrow::Cow;
use std::fmt;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Status of a login: class in the high byte, detail in the low one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum LoginStatus {
            $($(#[$doc])* $name = $code,)*
        }

        impl LoginStatus {
            /// Every status that RFC 7143 assigns.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What RFC 7143 calls it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

statuses! {
    /// The login goes on or has succeeded.
    Success = 0x0000, "success";
    /// Go to the given address, this time.
    MovedTemporarily = 0x0101, "target moved temporarily";
    /// Go to the given address from now on.
    MovedPermanently = 0x0102, "target moved permanently";
    /// The initiator broke the protocol.
    InitiatorError = 0x0200, "initiator error";
    /// The initiator has not shown who it is.
    AuthenticationFailure = 0x0201, "authentication failure";
    /// The initiator may not use the target.
    AuthorizationFailure = 0x0202, "authorization failure";
    /// There is no such target here.
    NotFound = 0x0203, "not found";
    /// The target was here and is gone for good.
    TargetRemoved = 0x0204, "target removed";
    /// No version in common.
    UnsupportedVersion = 0x0205, "unsupported version";
    /// The session has all the connections it may have.
    TooManyConnections = 0x0206, "too many connections";
    /// InitiatorName or TargetName is missing.
    MissingParameter = 0x0207, "missing parameter";
    /// The session cannot span to this portal.
    CannotIncludeInSession = 0x0208, "can't include in session";
    /// No such type of session.
    SessionTypeNotSupported = 0x0209, "session type not supported";
    /// The TSIH names no session.
    SessionDoesNotExist = 0x020a, "session does not exist";
    /// Something else than a Login Request came during login.
    InvalidDuringLogin = 0x020b, "invalid during login";
    /// Our fault.
    TargetError = 0x0300, "target error";
    /// The target is not in service now; try again.
    ServiceUnavailable = 0x0301, "service unavailable";
    /// No room for another session or connection now; try again.
    OutOfResources = 0x0302, "out of resources";
}

impl LoginStatus {
    /// Status-Class.
    #[must_use]
    pub fn class(self) -> u8 {
        (self as u16).to_be_bytes()[0]
    }

    /// Status-Detail.
    #[must_use]
    pub fn detail(self) -> u8 {
        (self as u16).to_be_bytes()[1]
    }

    /// The status of a class and detail, if assigned.
    #[must_use]
    pub fn of(class: u8, detail: u8) -> Option<Self> {
        let code = u16::from_be_bytes([class, detail]);
        Self::ALL.iter().copied().find(|status| *status as u16 == code)
    }
}

impl fmt::Display for LoginStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#06x})", self.name(), *self as u16)
    }
}

/// Why a login is refused, and what the initiator is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: LoginStatus,
    reason: Cow<'static, str>,
    address: Option<String>,
}

impl Refusal {
    /// A refusal with `status`; `reason` is for our log, the initiator does not see it. For a
    /// redirection use [`Refusal::moved`]: without an address there is none to go to, and
    /// [`LoginStatus::ServiceUnavailable`] stands in for it.
    #[must_use]
    pub fn new(status: LoginStatus, reason: impl Into<Cow<'static, str>>) -> Self {
        let status = match status.class() {
            1 => LoginStatus::ServiceUnavailable,
            _ => status,
        };
        Self { status, reason: reason.into(), address: None }
    }

    /// A redirection to `address`, written `host:port` without a portal group tag (RFC 7143
    /// 13.8); iPXE understands only IPv4 with a port there.
    #[must_use]
    pub fn moved(permanently: bool, address: String) -> Self {
        let status = match permanently {
            true => LoginStatus::MovedPermanently,
            false => LoginStatus::MovedTemporarily,
        };
        Self { status, reason: Cow::Borrowed("redirected"), address: Some(address) }
    }

    /// What the initiator is told.
    #[must_use]
    pub fn status(&self) -> LoginStatus {
        self.status
    }

    /// Where it is sent to, if it is a redirection.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.reason)?;
        match &self.address {
            Some(address) => write!(f, " to {address}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_table_is_its_own_inverse() {
        for &status in LoginStatus::ALL {
            assert_eq!(LoginStatus::of(status.class(), status.detail()), Some(status));
        }
        assert_eq!((LoginStatus::NotFound.class(), LoginStatus::NotFound.detail()), (2, 3));
        assert_eq!(LoginStatus::of(2, 0x0c), None);
    }

    #[test]
    fn l34_a_redirection_has_an_address() {
        let moved = Refusal::moved(false, "192.0.2.1:3260".into());
        assert_eq!(moved.status(), LoginStatus::MovedTemporarily);
        assert_eq!(moved.address(), Some("192.0.2.1:3260"));
        let nowhere = Refusal::new(LoginStatus::MovedPermanently, "moved");
        assert_eq!(nowhere.status(), LoginStatus::ServiceUnavailable);
    }
}
