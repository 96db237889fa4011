//! The session core against what RFC 7143 says, one PDU at a time.
