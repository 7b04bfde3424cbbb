//! Where a request goes: one reading of a host, one reading of a path.
//!
//! # Why
//! Most ways past a forward-auth service begin with two parties that read the same bytes differently. Policy, cookies,
//! logs and redirects therefore all take their host and path from here, and what two parsers could read differently is
//! refused, not repaired.

mod host;
mod origin;
mod path;

use thiserror::Error;

pub use self::{
    host::Host,
    origin::{Origin, Scheme},
    path::{Ambiguities, Ambiguity, CanonicalPath, Target},
};

/// Why bytes are not an address that everybody reads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not a DNS name or IP address with at most one port.
    #[error("malformed host")]
    Host,
    /// Neither `http` nor `https`.
    #[error("unsupported scheme")]
    Scheme,
    /// Not `scheme://host[:port]` and, where a path is allowed, a path.
    #[error("malformed address")]
    Url,
    /// The request target does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAPath,
    /// Longer than [`path::MAX_TARGET`] bytes.
    #[error("the request target is too long")]
    TooLong,
    /// A byte that no URI has: control, space, `#`, `\`, or above 0x7f.
    #[error("the request target has a byte that URIs do not have")]
    Byte,
    /// `%` without two hexadecimal digits.
    #[error("bad percent escape")]
    Escape,
    /// `.` or `..` as a segment, in any spelling.
    #[error("dot segment in the path")]
    DotSegment,
}
