//! The line of an answer, for people and for programs. Its fields hold no secret; the caller sees to that.

use std::fmt::Display;
use std::io::Write;
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

impl Answered<'_> {
    /// Appends the line, without its end. In pieces: formatting all of it at once takes thrice the time, and every call has a line.
    pub fn append_to(&self, line: &mut Vec<u8>) {
        let Self { request, method, path, status, code, user, peer, ms } = self;
        // Writing to memory cannot fail.
        let _ = write!(line, "{request} ");
        line.extend_from_slice(method.as_bytes());
        line.push(b' ');
        line.extend_from_slice(path.as_bytes());
        line.push(b' ');
        number(line, *status);
        line.push(b' ');
        number(line, *code);
        line.extend_from_slice(b" user=");
        line.extend_from_slice(user.unwrap_or("-").as_bytes());
        line.extend_from_slice(b" peer=");
        let _ = match peer {
            Some(peer) => write!(line, "{peer} "),
            None => write!(line, "- "),
        };
        number(line, *ms);
        line.extend_from_slice(b"ms");
    }
}

fn number(line: &mut Vec<u8>, number: impl itoa::Integer) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
