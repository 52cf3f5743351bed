//! `GET /live/{stream}.m3u8` and the files that it names, among them playlists of single tracks: HLS. Each request is permitted by its own query, which the
//! playlist hands on to its files; no cookies, so that a CDN can stand in front.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use media::hls::{Missing, PLAYLIST_TYPE, Reload, SEGMENT_TYPE, Wanted, Which};
use media::request::{Query, What};
use media::{Ended, Protocol, StreamName};

use super::streaming::Media;

/// What a name stands for never changes: names are not used again.
const FOREVER: &str = "public, max-age=86400, immutable";
/// A playlist is old after a part of a second; a CDN still merges the requests of a crowd.
const BRIEFLY: &str = "public, max-age=1";

/// How long a parameter that we do not know is at most, in bytes with its name, for the playlist to carry it.
const MOST_OF_OTHER: usize = 256;
/// How long all of them are at most.
const MOST_OF_OTHERS: usize = 1024;

/// Answers with the playlist of `{stream}.m3u8`, or of some of its tracks.
async fn playlist(media: &Media, peer: SocketAddr, stream: &str, query: &str, which: Which) -> Response {
    let answer = match write(media, peer, stream, query, which).await {
        Ok(text) => found(Bytes::from(text), PLAYLIST_TYPE, BRIEFLY),
        Err(status) => status.into_response(),
    };
    with_cors(media, answer)
}

/// `/live/{stream}/{file}`: a segment, a part, an init segment; or a playlist that a multivariant one names.
pub async fn file(
    State(media): State<Arc<Media>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((stream, file)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    if let Some(which) = file.strip_suffix(".m3u8").and_then(Which::of_playlist) {
        return playlist(&media, peer, &stream, query.as_deref().unwrap_or_default(), which).await;
    }
    let read = async {
        let stream = StreamName::new(&stream).map_err(|_| StatusCode::NOT_FOUND)?;
        let file = Wanted::parse(&file).ok_or(StatusCode::NOT_FOUND)?;
        let query = query.unwrap_or_default();
        media.gate.may_play(stream.as_str(), &query).map_err(|_| StatusCode::FORBIDDEN)?;
        let bytes = media.hls.file(&stream, file).await.map_err(status)?;
        // It may have waited for the next part, and the viewer may have been removed meanwhile.
        media.gate.may_play(stream.as_str(), &query).map_err(|_| StatusCode::FORBIDDEN)?;
        Ok::<_, StatusCode>(bytes)
    };
    let answer = match read.await {
        Ok(bytes) => found(bytes, SEGMENT_TYPE, FOREVER),
        Err(status) => status.into_response(),
    };
    with_cors(&media, answer)
}

/// Hands a request for `/live/{file}` to who serves files of that kind.
pub async fn or_flv(
    State(media): State<Arc<Media>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: axum::extract::Request,
) -> Response {
    match name.strip_suffix(".m3u8") {
        Some(stream) => playlist(&media, peer, stream, query.as_deref().unwrap_or_default(), Which::All).await,
        None => super::flv::play(State(media), ConnectInfo(peer), Path(name), RawQuery(query), request).await,
    }
}

async fn write(media: &Media, peer: SocketAddr, stream: &str, query: &str, which: Which) -> Result<String, StatusCode> {
    let name = StreamName::new(stream).map_err(|_| StatusCode::NOT_FOUND)?;
    let (reload, permission) = split(query).ok_or(StatusCode::BAD_REQUEST)?;
    let for_all = Query(query.into()).is_for_all_tracks();
    let mut wait: Option<Duration> = None;
    if media.hls.is_running(&name) {
        media.gate.may_play(stream, query).map_err(|_| StatusCode::FORBIDDEN)?;
    } else {
        let app_name = "live".into();
        let protocol = Protocol::Hls;
        let what = What { stream: name.clone(), app: app_name, query: Query(query.into()), protocol, peer };
        let options = media.requests.play(what).await.map_err(|why| match why {
            Ended::Timeout(_) | Ended::Shutdown => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        })?;
        wait = options.wait;
    }
    let playlist = match which {
        Which::All if for_all => media.hls.tracks(&name, wait, stream, &permission).await,
        Which::All => media.hls.playlist(&name, wait, reload, stream, &permission).await,
        _ => media.hls.playlist_of(&name, wait, reload, which, &permission).await,
    };
    let playlist = playlist.map_err(status)?;
    media.gate.may_play(stream, query).map_err(|_| StatusCode::FORBIDDEN)?;
    Ok(playlist)
}

/// What a low-latency player asks for, and the rest of the query, which its files need too. `None` for nonsense.
fn split(query: &str) -> Option<(Reload, String)> {
    let mut reload = Reload::default();
    let mut permission = String::new();
    let mut room_for_others = MOST_OF_OTHERS;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "_HLS_msn" => reload.segment = Some(value.parse().ok()?),
            // xgplayer-hls names the URI of the part that it was hinted at, and no segment: it gets what there is.
            "_HLS_part" if value.contains(".m4s") => {}
            "_HLS_part" => reload.part = Some(value.parse().ok()?),
            // Only what was checked is handed on: the playlist holds nothing that could end a URI in it.
            "txSecret" | "txTime" if value.len() <= 64 && value.bytes().all(|b| b.is_ascii_hexdigit()) => {
                hand_on(&mut permission, pair);
            }
            "uid" | "rid" if value.len() <= 192 && value.bytes().all(in_part) => hand_on(&mut permission, pair),
            "txSecret" | "txTime" | "uid" | "rid" => {}
            // Directives are for the server that reads the playlist, not for its files.
            _ if name.starts_with("_HLS_") || name == "multitrack" => {}
            // The player's own: a CDN's token, a tag for a log.
            _ if pair.len() <= MOST_OF_OTHER.min(room_for_others) && pair.bytes().all(in_query) => {
                room_for_others -= pair.len();
                hand_on(&mut permission, pair);
            }
            _ => {}
        }
    }
    (reload.part.is_none() || reload.segment.is_some()).then_some((reload, permission))
}

fn hand_on(permission: &mut String, pair: &str) {
    permission.push(if permission.is_empty() { '?' } else { '&' });
    permission.push_str(pair);
}

/// What ids hold in URLs.
fn in_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-~".contains(&byte)
}

/// What a parameter that we do not know may hold: nothing of it has a meaning in a playlist.
fn in_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-~.=%".contains(&byte)
}

fn status(missing: Missing) -> StatusCode {
    match missing {
        Missing::NotFound => StatusCode::NOT_FOUND,
        Missing::TooFar => StatusCode::BAD_REQUEST,
        Missing::NotYet | Missing::Full => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn found(bytes: Bytes, content_type: &'static str, cache: &'static str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

fn with_cors(media: &Media, mut response: Response) -> Response {
    if !response.status().is_success() {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    media.cors.apply(response.headers_mut(), false);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_split_and_nothing_unsafe_is_handed_on() {
        let (reload, rest) = split("txSecret=ab12&_HLS_msn=7&_HLS_part=2&txTime=5C&x=\"a").unwrap();
        assert_eq!((reload.segment, reload.part, rest.as_str()), (Some(7), Some(2), "?txSecret=ab12&txTime=5C"));
        assert_eq!(
            split("_HLS_part=s%2F7.1.m4s%3FtxTime%3D5C&txTime=5C").unwrap(),
            (Reload::default(), "?txTime=5C".into())
        );
        assert_eq!(split("").unwrap(), (Reload::default(), String::new()));
        assert_eq!(split("txSecret=%22&txTime=a\"b&uid=a%22&rid=<").unwrap().1, "");
        assert_eq!(split("txTime=5C&uid=a~20b&rid=r_1").unwrap().1, "?txTime=5C&uid=a~20b&rid=r_1");
        assert!(split("_HLS_msn=x").is_none() && split("_HLS_part=1").is_none());
    }

    #[test]
    fn the_players_own_query_is_handed_on_within_bounds() {
        let rest = |query: &str| split(query).unwrap().1;
        assert_eq!(rest("bizid=1&txTime=5C&t=a.b%20c~d==&flag"), "?bizid=1&txTime=5C&t=a.b%20c~d==&flag");
        assert_eq!(rest("_HLS_skip=YES&raw=1&multitrack=1"), "?raw=1");
        for unsafe_one in ["\"", "<", "\n", "#", ",", "+", "/", "?", " ", "\\", "\u{e9}", "\0"] {
            assert_eq!(rest(&format!("a=1&x={unsafe_one}&{unsafe_one}=x&b=2")), "?a=1&b=2", "{unsafe_one:?}");
        }
        let of = |name: &str, length: usize| format!("{name}={}", "v".repeat(length - name.len() - 1));
        assert_eq!(rest(&of("a", 256)), format!("?{}", of("a", 256)));
        assert_eq!(rest(&of("a", 257)), "");
        let most: Vec<String> = ["a", "b", "c", "d"].map(|name| of(name, 256)).into();
        assert_eq!(rest(&format!("{}&e=1&txTime=5C", most.join("&"))), format!("?{}&txTime=5C", most.join("&")));
    }
}
