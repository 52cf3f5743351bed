//! Addresses of streams, read: rtmp, rtmps, http, https, webrtc and srt. Owns splitting, decoding
//! (once) and bounds; whether a URL is signed is [`crate::push_url`]'s.

use crate::{Invalid, hex, stream_name};
use std::borrow::Cow;

/// The longest URL or query looked at.
pub const MAX_LEN: usize = 4096;
const MAX_PARAMETERS: usize = 32;

/// The protocol of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `rtmp://`
    Rtmp,
    /// `rtmps://`
    Rtmps,
    /// `http://`
    Http,
    /// `https://`
    Https,
    /// `webrtc://`
    WebRtc,
    /// `srt://`
    Srt,
}

/// What follows the stream's name in a play URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// `.flv`
    Flv,
    /// `.m3u8`
    M3u8,
}

/// One stream's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamUrl<'a> {
    /// The protocol.
    pub scheme: Scheme,
    /// Name or address as written; an IPv6 address without its brackets.
    pub host: &'a str,
    /// The port, if written.
    pub port: Option<u16>,
    /// The path before the stream, such as `live`. Never empty.
    pub app: Cow<'a, str>,
    /// The stream's name without extension: [`stream_name::is_valid`].
    pub stream: Cow<'a, str>,
    /// The extension (http and https only).
    pub extension: Option<Extension>,
    /// The parameters.
    pub query: Query<'a>,
}

/// Parameters of a URL, decoded; no name occurs twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads `a=1&b=2` (without the `?`), decoding `%hh` once. A repeated name is malformed: which of
    /// the two counts would be a guess.
    pub fn parse(text: &'a str) -> Result<Self, Invalid> {
        if text.len() > MAX_LEN {
            return Err(Invalid::Malformed("query is longer than 4 KiB"));
        }
        let mut query = Query::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.add(decode(name)?, decode(value)?)?;
        }
        Ok(query)
    }

    fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), Invalid> {
        if self.0.len() == MAX_PARAMETERS {
            return Err(Invalid::Malformed("query has more than 32 parameters"));
        }
        if self.get(&name).is_some() {
            return Err(Invalid::Malformed("query has a parameter twice"));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The value of a parameter. Names are compared exactly.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }

    /// All parameters in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl<'a> StreamUrl<'a> {
    /// Reads a whole URL. `srt://host:port?streamid=#!::r=app/stream,txSecret=..` is understood too.
    pub fn parse(url: &'a str) -> Result<Self, Invalid> {
        if url.len() > MAX_LEN {
            return Err(Invalid::Malformed("URL is longer than 4 KiB"));
        }
        let (scheme, rest) = url.split_once("://").ok_or(Invalid::Malformed("URL has no scheme"))?;
        let scheme = scheme_of(scheme)?;
        let (address, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = host_of(address)?;
        if scheme == Scheme::Srt
            && let Some((_, streamid)) = rest.split_once("streamid=")
        {
            return Self::from_streamid(host, port, streamid);
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (app, stream, extension) = path_of(path, scheme)?;
        Ok(StreamUrl { scheme, host, port, app, stream, extension, query: Query::parse(query)? })
    }

    /// The fields of an SRT access-control text, which also carry what other URLs have in the query.
    fn from_streamid(host: &'a str, port: Option<u16>, streamid: &'a str) -> Result<Self, Invalid> {
        // What follows are options of the socket (`mode`, `latency`), not of the stream.
        let streamid = streamid.split_once('&').map_or(streamid, |(before, _)| before);
        let fields = streamid
            .strip_prefix("#!::")
            .or_else(|| streamid.strip_prefix("%23!::"))
            .ok_or(Invalid::Malformed("streamid does not start with #!::"))?;
        let mut resource = None;
        let mut query = Query::default();
        for field in fields.split(',') {
            let (name, value) = field.split_once('=').ok_or(Invalid::Malformed("streamid"))?;
            match name {
                "r" if resource.is_some() => {
                    return Err(Invalid::Malformed("streamid has r twice"));
                }
                "r" => resource = Some(value),
                _ => query.add(decode(name)?, decode(value)?)?,
            }
        }
        let path = resource.ok_or(Invalid::Malformed("streamid has no r"))?;
        let (app, stream, extension) = path_of(path, Scheme::Srt)?;
        Ok(StreamUrl { scheme: Scheme::Srt, host, port, app, stream, extension, query })
    }
}

fn scheme_of(text: &str) -> Result<Scheme, Invalid> {
    const SCHEMES: [(&str, Scheme); 6] = [
        ("rtmp", Scheme::Rtmp),
        ("rtmps", Scheme::Rtmps),
        ("http", Scheme::Http),
        ("https", Scheme::Https),
        ("webrtc", Scheme::WebRtc),
        ("srt", Scheme::Srt),
    ];
    let found = SCHEMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    found.map(|(_, scheme)| *scheme).ok_or(Invalid::Malformed("URL has a scheme that carries no streams"))
}

fn host_of(address: &str) -> Result<(&str, Option<u16>), Invalid> {
    const BAD: Invalid = Invalid::Malformed("URL has a malformed host");
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(BAD)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| BAD)?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(BAD)?) })
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let bracketed = address.starts_with('[');
    if host.is_empty()
        || host.len() > 253
        || (!bracketed && !host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')))
    {
        return Err(BAD);
    }
    let port = match port {
        Some(text) if text.bytes().all(|c| c.is_ascii_digit()) => Some(text.parse().map_err(|_| BAD)?),
        Some(_) => return Err(BAD),
        None => None,
    };
    Ok((host, port))
}

type Path<'a> = (Cow<'a, str>, Cow<'a, str>, Option<Extension>);

fn path_of(path: &str, scheme: Scheme) -> Result<Path<'_>, Invalid> {
    const NO_STREAM: Invalid = Invalid::Malformed("URL has no /app/stream");
    let (app, last) = path.strip_prefix('/').unwrap_or(path).rsplit_once('/').ok_or(NO_STREAM)?;
    let extension = match scheme {
        Scheme::Http | Scheme::Https if last.ends_with(".flv") => Some(Extension::Flv),
        Scheme::Http | Scheme::Https if last.ends_with(".m3u8") => Some(Extension::M3u8),
        _ => None,
    };
    let stream = match extension {
        Some(Extension::Flv) => last.strip_suffix(".flv"),
        Some(Extension::M3u8) => last.strip_suffix(".m3u8"),
        None => Some(last),
    };
    let app = decode(app)?;
    let stream = decode(stream.unwrap_or(last))?;
    if !app.split('/').all(stream_name::is_valid) {
        return Err(Invalid::Malformed("URL has a malformed app name"));
    }
    if !stream_name::is_valid(&stream) {
        return Err(Invalid::Malformed("stream name"));
    }
    Ok((app, stream, extension))
}

/// `%hh` decoded, once; `+` stays, since nothing here is a form.
fn decode(text: &str) -> Result<Cow<'_, str>, Invalid> {
    const BAD: Invalid = Invalid::Malformed("URL has a malformed % escape");
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let pair = bytes.next().zip(bytes.next()).ok_or(BAD)?;
                hex::digit(pair.0).ok_or(BAD)? << 4 | hex::digit(pair.1).ok_or(BAD)?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| BAD)
}

#[cfg(test)]
mod tests;
