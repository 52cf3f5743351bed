//! RTMP URLs, taken apart.

/// Where to publish or play: the parts of `rtmp://host[:port]/app/stream?query`.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// The application; may hold slashes.
    pub app: String,
    /// The stream's name, with its query. Not shown by `Debug`.
    pub stream: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.stream.split('?').next().unwrap_or("");
        write!(f, "rtmp://{}/{}/{name}", self.address, self.app)
    }
}

impl Target {
    /// Takes a URL apart; the last path segment is the stream. `None`: no such URL.
    pub fn parse(url: &str) -> Option<Target> {
        let rest = url.strip_prefix("rtmp://")?;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q)));
        let (host, path) = path.split_once('/')?;
        let (app, name) = path.rsplit_once('/')?;
        // A colon inside brackets is part of an IPv6 address.
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let address = if has_port { host.to_string() } else { format!("{host}:1935") };
        let stream = query.map_or_else(|| name.to_string(), |q| format!("{name}?{q}"));
        let fits = !host.is_empty() && !app.is_empty() && !name.is_empty();
        fits.then(|| Target { address, app: app.into(), stream })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        let target = |u| Target::parse(u).map(|t| (t.address, t.app, t.stream));
        let want = |a: &str, b: &str, c: &str| Some((a.to_string(), b.to_string(), c.to_string()));
        assert_eq!(target("rtmp://h/live/s"), want("h:1935", "live", "s"));
        assert_eq!(target("rtmp://h:19/a/b/s?x=/y"), want("h:19", "a/b", "s?x=/y"));
        assert_eq!(target("rtmp://[::1]/live/s"), want("[::1]:1935", "live", "s"));
        for bad in ["http://h/live/s", "rtmp://h", "rtmp://h/live", "rtmp:///live/s", "rtmp://h/live/"] {
            assert_eq!(target(bad), None, "{bad}");
        }
        let shown = format!("{:?}", Target::parse("rtmp://h/live/s?txSecret=1").unwrap());
        assert_eq!(shown, "rtmp://h:1935/live/s");
    }
}
