//! One viewer of a load: plays by HTTP-FLV or RTMP, notes its first picture and when nothing comes, throws all else away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use media::Kind;
use media::rtmp::client::{Player, Target};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::samples::Samples;

/// How long the first byte may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Nothing for so long is a stall.
const STALL: Duration = Duration::from_secs(1);
/// A stream that has sound, and no picture for so long, has none.
const HEARD: Duration = Duration::from_secs(5);
/// Nothing for so long is an end.
const END: Duration = Duration::from_secs(30);

/// Asks for streams by HTTP, with TLS or without.
pub type Http = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// One for all viewers; each has a connection of its own.
///
/// # Errors
/// The cryptography there is does not do TLS.
pub fn http() -> Result<Http, String> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(|e| e.to_string())?;
    Ok(Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build()))
}

/// What is played.
#[derive(Clone, Debug)]
pub enum Stream {
    /// HTTP-FLV.
    Flv(Uri),
    /// RTMP.
    Rtmp(Target),
}

/// What one viewer saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// How long the first picture took, or the first sound where there are no pictures.
    pub first: Option<Duration>,
    pub stalls: u64,
    /// Why it ended before it was told to.
    pub ended: Option<String>,
    bytes: u64,
    watched: Duration,
}

impl Seen {
    /// Bits a second.
    pub fn rate(&self) -> u64 {
        (self.bytes as f64 * 8.0 / self.watched.as_secs_f64().max(0.001)) as u64
    }
}

impl Stream {
    /// A play URL; nothing: that of a server.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(url: &str) -> Result<Option<Self>, String> {
        let wrong = || format!("{url} is no URL of a stream (http://…flv, rtmp://…) or server (http://HOST:PORT)");
        if url.starts_with("rtmp://") {
            return Target::parse(url).map(|target| Some(Self::Rtmp(target))).ok_or_else(wrong);
        }
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        match (uri.scheme_str(), uri.path()) {
            (Some("http" | "https"), "" | "/") => Ok(None),
            (Some("http" | "https"), _) => Ok(Some(Self::Flv(uri))),
            _ => Err(wrong()),
        }
    }

    /// Plays it until `stop`.
    pub async fn watch(self, http: Http, samples: Arc<Samples>, stop: CancellationToken) -> Seen {
        let mut watching =
            Watching { begun: Instant::now(), seen: Seen::default(), last: Instant::now(), sound: None, samples };
        let played = stop.run_until_cancelled(async {
            match self {
                Self::Flv(uri) => flv(&http, uri, &mut watching).await,
                Self::Rtmp(target) => rtmp(&target, &mut watching).await,
            }
        });
        let played = played.await;
        let Watching { begun, mut seen, samples, last, sound: _ } = watching;
        // A stall that lasts until the end is one too.
        if played.is_none() && seen.first.is_some() && last.elapsed() >= STALL {
            seen.stalls += 1;
        }
        if let Some(ended) = played {
            seen.ended = Some(ended.err().unwrap_or_else(|| "the stream ended".into()));
            samples.ended.fetch_add(1, Ordering::Relaxed);
            if seen.first.is_some() {
                samples.playing.fetch_sub(1, Ordering::Relaxed);
            }
        }
        seen.watched = begun.elapsed().saturating_sub(seen.first.unwrap_or_default());
        seen
    }
}

/// A viewer at work.
struct Watching {
    begun: Instant,
    seen: Seen,
    last: Instant,
    /// When the first sound came.
    sound: Option<Instant>,
    samples: Arc<Samples>,
}

/// What is among some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Nothing,
    Sound,
    Picture,
}

impl Watching {
    /// So many bytes came, with this among them.
    fn came(&mut self, bytes: usize, shown: Shown) {
        self.came_at(Instant::now(), bytes, shown);
    }

    fn came_at(&mut self, now: Instant, bytes: usize, shown: Shown) {
        if shown == Shown::Sound {
            self.sound.get_or_insert(now);
        }
        let heard = self.sound.filter(|sound| now - *sound >= HEARD);
        if self.seen.first.is_some() {
            self.seen.bytes += bytes as u64;
            if now - self.last >= STALL {
                self.seen.stalls += 1;
                self.samples.stalls.fetch_add(1, Ordering::Relaxed);
            }
        } else if let Some(first) = heard.or((shown == Shown::Picture).then_some(now)) {
            self.seen.first = Some(first - self.begun);
            self.samples.playing.fetch_add(1, Ordering::Relaxed);
        }
        self.samples.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last = now;
    }
}

async fn flv(http: &Http, uri: Uri, watching: &mut Watching) -> Result<(), String> {
    let request = Request::get(uri).body(Empty::new()).map_err(|e| e.to_string())?;
    let answer = timeout(PATIENCE, http.request(request)).await.map_err(|_| "no answer in time")?;
    let answer = answer.map_err(|e| format!("no connection: {e}"))?;
    if !answer.status().is_success() {
        return Err(format!("refused: {}", answer.status()));
    }
    let mut body: Incoming = answer.into_body();
    let mut tags = Tags::default();
    loop {
        let next = timeout(END, body.frame()).await.map_err(|_| "nothing came any more")?;
        let Some(part) = next else { return Ok(()) };
        let part = part.map_err(|e| e.to_string())?;
        let Some(bytes) = part.data_ref() else { continue };
        let shown = if watching.seen.first.is_none() { tags.show(bytes)? } else { Shown::Nothing };
        watching.came(bytes.len(), shown);
    }
}

async fn rtmp(target: &Target, watching: &mut Watching) -> Result<(), String> {
    let mut player = Player::connect(target).await.map_err(|e| e.to_string())?;
    loop {
        let next = timeout(END, player.next()).await.map_err(|_| "nothing came any more")?;
        match next.map_err(|e| e.to_string())? {
            None => return Ok(()),
            Some(frame) => {
                let shown = match frame.kind {
                    Kind::Video if frame.key => Shown::Picture,
                    Kind::Audio => Shown::Sound,
                    _ => Shown::Nothing,
                };
                watching.came(frame.payload.len(), shown);
            }
        }
    }
}

/// Reads the beginning of an FLV stream, up to its first picture.
#[derive(Default)]
struct Tags {
    /// What is not read yet.
    buffer: Vec<u8>,
    /// The file's head was passed.
    begun: bool,
}

impl Tags {
    /// Most bytes before a picture.
    const MOST: usize = 8 << 20;
    const AUDIO: u8 = 8;
    const VIDEO: u8 = 9;
    const HEAD: usize = 13;
    const TAG: usize = 11;

    /// What is whole with these bytes: a keyframe, or sound.
    fn show(&mut self, bytes: &[u8]) -> Result<Shown, String> {
        let mut shown = Shown::Nothing;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > Self::MOST {
            return Err("no picture among the first 8 MB".into());
        }
        if !self.begun {
            if self.buffer.len() < Self::HEAD {
                return Ok(shown);
            }
            if !self.buffer.starts_with(b"FLV") {
                return Err("what came is not FLV".into());
            }
            self.buffer.drain(..Self::HEAD);
            self.begun = true;
        }
        while let [kind, a, b, c, ..] = self.buffer[..] {
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            // The tag's size stands behind it once more.
            let whole = Self::TAG + length + 4;
            if self.buffer.len() < whole {
                return Ok(shown);
            }
            let body = &self.buffer[Self::TAG..Self::TAG + length];
            match kind {
                Self::VIDEO if is_picture(body) => return Ok(Shown::Picture),
                Self::AUDIO if is_sound(body) => shown = Shown::Sound,
                _ => {}
            }
            self.buffer.drain(..whole);
        }
        Ok(shown)
    }
}

/// Whether the body of a video tag is a keyframe, and no configuration: as FLV has it, or with a FourCC.
fn is_picture(body: &[u8]) -> bool {
    match body {
        [first, ..] if first & 0x80 != 0 => first >> 4 & 7 == 1 && matches!(first & 15, 1 | 3),
        [first, packet, ..] => first >> 4 == 1 && *packet == 1,
        _ => false,
    }
}

/// Whether the body of an audio tag is sound, and no configuration: as FLV has it, or with a FourCC.
fn is_sound(body: &[u8]) -> bool {
    match body {
        [first, packet, ..] if first >> 4 == 10 => *packet == 1,
        [first, ..] if first >> 4 == 9 => first & 15 == 1,
        [_, _, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut tag = vec![kind, 0, 0, body.len() as u8, 0, 0, 0, 0, 0, 0, 0];
        tag.extend(body);
        tag.extend([0, 0, 0, 11 + body.len() as u8]);
        tag
    }

    #[test]
    fn a_picture_is_seen_when_it_is_whole() {
        let head = [b"FLV".as_slice(), &[1, 5, 0, 0, 0, 9, 0, 0, 0, 0]].concat();
        let before =
            [tag(18, b"meta"), tag(9, &[0x17, 0, 0, 0, 0]), tag(8, &[0xaf, 1, 7]), tag(9, &[0x27, 1, 9])].concat();
        for picture in [tag(9, &[0x17, 1, 0, 0, 0, 5]), tag(9, &[0x91, b'h', b'v', b'c', b'1', 5])] {
            let all = [&head[..], &before, &picture].concat();
            let mut tags = Tags::default();
            let seen: Vec<_> = all.iter().map(|byte| tags.show(&[*byte]).unwrap()).collect();
            assert_eq!(seen.iter().position(|seen| *seen == Shown::Picture), Some(all.len() - 1));
        }
        assert!(Tags::default().show(b"<html> not found").is_err());
    }

    #[test]
    fn sound_alone_is_heard_when_no_picture_comes() {
        let head = [b"FLV".as_slice(), &[1, 4, 0, 0, 0, 9, 0, 0, 0, 0]].concat();
        let mut tags = Tags::default();
        assert_eq!(tags.show(&[&head[..], &tag(8, &[0xaf, 0, 18])].concat()), Ok(Shown::Nothing));
        assert_eq!(tags.show(&tag(8, &[0xaf, 1, 7])), Ok(Shown::Sound));
        for (picture, first) in [(false, 2), (true, 4)] {
            let begun = Instant::now();
            let samples = Arc::new(Samples::default());
            let mut watching = Watching { begun, seen: Seen::default(), last: begun, sound: None, samples };
            for second in 2..9 {
                let shown = if picture && second == 4 { Shown::Picture } else { Shown::Sound };
                watching.came_at(begun + Duration::from_secs(second), 1, shown);
            }
            assert_eq!(watching.seen.first, Some(Duration::from_secs(first)));
            assert_eq!(watching.samples.now().playing, 1);
        }
    }

    #[test]
    fn urls_are_of_streams_or_servers() {
        for url in ["http://h/live/s.flv?x=1", "https://h/live/s.flv", "rtmp://h/live/s"] {
            assert!(Stream::parse(url).unwrap().is_some(), "{url}");
        }
        for url in ["http://h:5757", "https://h/"] {
            assert!(Stream::parse(url).unwrap().is_none(), "{url}");
        }
        for url in ["h", "h:5757", "ftp://h/x", "rtmp://h", ""] {
            assert!(Stream::parse(url).unwrap_err().contains("no URL"), "{url}");
        }
    }
}
