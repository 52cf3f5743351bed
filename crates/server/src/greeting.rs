//! What is printed at the start: the addresses that people use, and where the server listens. Opens nothing.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::config::{Mode, Settings};
use crate::start::Server;
use streams::live::{Base, Provider, Scheme, Urls};

/// What a server says of itself.
struct Places<'a> {
    settings: &'a Settings,
    urls: &'a Urls,
    http: SocketAddr,
    rtmp: Option<SocketAddr>,
    media: Option<Media>,
}

/// Where WebRTC is.
struct Media {
    /// The UDP port as it is bound.
    bound: SocketAddr,
    /// Where browsers are told to send.
    advertised: Vec<SocketAddr>,
}

/// The lines of a server that has just started.
#[must_use]
pub fn of(server: &Server) -> String {
    let webrtc = server.app.webrtc.as_ref();
    let media =
        |webrtc: &media::rtc::Server| Media { bound: webrtc.udp_addr(), advertised: webrtc.advertised().0.to_vec() };
    let places = Places {
        settings: &server.app.settings,
        urls: &server.app.urls,
        http: server.http,
        rtmp: server.rtmp,
        media: webrtc.map(media),
    };
    places.page()
}

impl Places<'_> {
    fn page(&self) -> String {
        let Self { settings, urls, .. } = self;
        let authority = self.authority();
        let scheme = self.scheme();
        let http = format!("{}://{authority}", if scheme == Scheme::Https { "https" } else { "http" });
        let mut page = format!("RoomService {} ({:?} mode)\n", env!("CARGO_PKG_VERSION"), settings.mode);
        let _ = writeln!(page, "  open       {http}/ (rooms to try), {http}/console (for operators)");
        let _ = writeln!(page, "  calls      {http}/weapp/");
        let _ = writeln!(page, "  logs       {http}/weapp/utils/logfilelist");
        let push = urls.push_to(&Base { scheme, authority: &authority });
        if self.rtmp.is_some() || urls.elsewhere().is_some() {
            let _ = writeln!(page, "  push       {push} (with a URL that get_push_url gives)");
        }
        if let Some(media) = &self.media {
            let _ = writeln!(page, "  browsers   {http}/whip/ and /whep/, media over {}", self.over(media));
        }
        let bound = self.bound();
        if !bound.starts_with(&format!("{http}/"))
            || self.rtmp.is_some() && !bound.contains(&push.replace("/live/", "/"))
        {
            let _ = writeln!(page, "  listens    {bound}");
        }
        let _ = writeln!(page, "  data       {}", settings.data_dir.display());
        page
    }

    fn scheme(&self) -> Scheme {
        let settings = self.settings;
        // A proxy in front is reached by the host that it is known by.
        let behind = settings.http.tls_by_proxy && !self.host().is_empty();
        if settings.tls.is_on() || behind { Scheme::Https } else { Scheme::Http }
    }

    /// The name that people know the server by, perhaps with a port; empty where settings have none.
    fn host(&self) -> &str {
        let settings = self.settings;
        let embedded = settings.live.provider == Provider::Embedded;
        let own = Some(settings.live.play_host.as_str()).filter(|_| embedded).unwrap_or_default();
        settings.tls.acme.domains.first().map_or(own, String::as_str)
    }

    /// Where people find HTTP: the configured host, or an address of this machine.
    fn authority(&self) -> String {
        let port = self.http.port();
        let host = self.host();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let usual = if self.settings.tls.is_on() { 443 } else { 80 };
        if has_port || !host.is_empty() && (self.settings.http.tls_by_proxy || port == usual) {
            return host.to_owned();
        }
        if !host.is_empty() {
            return format!("{host}:{port}");
        }
        let ip = match &self.media {
            Some(media) if self.http.ip().is_unspecified() => media.advertised.first().map(SocketAddr::ip),
            _ => None,
        };
        SocketAddr::new(ip.unwrap_or(self.http.ip()), port).to_string()
    }

    /// The ports of media. In development browsers of this machine alone are served, through a port that all could send to.
    fn over(&self, media: &Media) -> String {
        let settings = self.settings;
        let local = settings.mode == Mode::Development && settings.lan.is_none() && media.bound.ip().is_unspecified();
        if local {
            return format!("UDP {}, which drops what other machines send", media.bound);
        }
        let all: Vec<_> = media.advertised.iter().map(ToString::to_string).collect();
        format!("UDP {}", all.join(" and "))
    }

    /// Where the server listens, as URLs.
    fn bound(&self) -> String {
        let scheme = if self.settings.tls.is_on() { "https" } else { "http" };
        let mut bound = format!("{scheme}://{}/", self.http);
        if let Some(rtmp) = self.rtmp {
            let _ = write!(bound, ", rtmp://{rtmp}/");
        }
        if let Some(media) = &self.media {
            let _ = write!(bound, ", UDP {}", media.bound);
        }
        bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn page(settings: &Settings, bound: [&str; 3], advertised: &[&str]) -> String {
        let urls = Urls::new(&settings.live, at(bound[1]).port());
        let media = Media { bound: at(bound[2]), advertised: advertised.iter().map(|text| at(text)).collect() };
        let [http, rtmp] = [at(bound[0]), at(bound[1])];
        Places { settings, urls: &urls, http, rtmp: Some(rtmp), media: Some(media) }.page()
    }

    #[test]
    fn the_readmes_show_what_is_printed() {
        let bound = ["127.0.0.1:5757", "127.0.0.1:1935", "0.0.0.0:8000"];
        let page = page(&Settings::default(), bound, &["127.0.0.1:8000", "192.0.2.4:8000"]);
        assert!(include_str!("../../../README.md").contains(&page), "{page}");
        assert!(include_str!("../../../README.zh-CN.md").contains(&page), "{page}");
    }

    #[test]
    fn hosts_that_are_set_are_what_people_use() {
        let mut settings = Settings { mode: Mode::Production, ..Settings::default() };
        settings.http.tls_by_proxy = true;
        settings.live.play_host = "rooms.example.com".into();
        settings.live.push_host = "push.example.com".into();
        let bound = ["127.0.0.1:5757", "0.0.0.0:1935", "0.0.0.0:8000"];
        let said = page(&settings, bound, &["203.0.113.7:8000"]);
        for part in [
            "  open       https://rooms.example.com/ (rooms to try), https://rooms.example.com/console (",
            "  push       rtmp://push.example.com/live/ (",
            "  browsers   https://rooms.example.com/whip/ and /whep/, media over UDP 203.0.113.7:8000\n",
            "  listens    http://127.0.0.1:5757/, rtmp://0.0.0.0:1935/, UDP 0.0.0.0:8000\n",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        settings.http.tls_by_proxy = false;
        settings.tls.acme.domains = vec!["own.example.com".into()];
        let said = page(&settings, ["0.0.0.0:5443", bound[1], bound[2]], &["203.0.113.7:8000"]);
        assert!(
            said.contains("open       https://own.example.com:5443/ (") && said.contains("https://0.0.0.0:5443/"),
            "{said}"
        );
        let said = page(&settings, ["0.0.0.0:443", bound[1], bound[2]], &["203.0.113.7:8000"]);
        assert!(said.contains("open       https://own.example.com/ ("), "{said}");
    }

    #[test]
    fn without_hosts_an_address_is_named_that_leads_here() {
        let mut settings = Settings { mode: Mode::Production, ..Settings::default() };
        let bound = ["0.0.0.0:5757", "0.0.0.0:1936", "0.0.0.0:8000"];
        let said = page(&settings, bound, &["203.0.113.7:8000"]);
        assert!(said.contains("open       http://203.0.113.7:5757/ ("), "{said}");
        assert!(said.contains("push       rtmp://203.0.113.7:1936/live/ ("), "{said}");
        assert!(said.contains("listens    http://0.0.0.0:5757/, rtmp://0.0.0.0:1936/, UDP 0.0.0.0:8000\n"), "{said}");
        // Nobody knows how a proxy is reached.
        settings.http.tls_by_proxy = true;
        let said = page(&settings, ["127.0.0.1:5757", bound[1], bound[2]], &["203.0.113.7:8000"]);
        assert!(said.contains("open       http://127.0.0.1:5757/ ("), "{said}");
    }
}
