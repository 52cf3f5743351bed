//! The line of an answer, for people and for programs. Its fields hold no secret; whoever makes one sees to that.

use std::fmt::{self, Display};
use std::net::IpAddr;

use serde::{Serialize, Serializer};

/// What was asked and answered.
#[derive(Serialize)]
pub struct Answered<'a> {
    /// The request's number.
    #[serde(serialize_with = "shown")]
    pub request: &'a dyn Display,
    /// The HTTP method.
    pub method: &'a str,
    /// The path, as far as it may be logged.
    pub path: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// The wire code.
    pub code: i32,
    /// Who called, if that is certain.
    pub user: Option<&'a str>,
    /// From where.
    pub peer: Option<IpAddr>,
    /// Milliseconds until the answer.
    pub ms: u128,
}

fn shown<S: Serializer>(value: &&dyn Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl Display for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, method, path, status, code, user, peer, ms } = self;
        write!(f, "{request} {method} {path} {status} {code} user={} peer=", user.unwrap_or("-"))?;
        match peer {
            Some(peer) => write!(f, "{peer}")?,
            None => f.write_str("-")?,
        }
        write!(f, " {ms}ms")
    }
}
