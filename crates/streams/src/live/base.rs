//! The address that a client reached us by. Knows no streams.

/// Whether a client reached us over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS, here or at a proxy.
    Https,
}

impl Scheme {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The address that a client reached us by.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// `host` or `host:port`, as the client wrote it.
    pub authority: &'a str,
}

impl<'a> Base<'a> {
    pub(super) fn host(&self) -> &'a str {
        // An IPv6 address has colons of its own, inside brackets.
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => host,
            _ => self.authority,
        }
    }
}
