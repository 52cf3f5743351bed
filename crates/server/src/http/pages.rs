//! The demo rooms, the console and the SDK: files that are part of the binary. Owns how they are cached, packed and
//! locked down; knows nothing of what is in them. A build without optimisation reads them from the source tree.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use rust_embed::Embed;

use crate::lan;
use crate::web::Cors;

/// The pages.
#[derive(Embed)]
#[folder = "../../web"]
struct Web;

/// The client SDK, which the pages are built on.
#[derive(Embed)]
#[folder = "../../sdk/js/src"]
struct Sdk;

/// Nothing inline, nothing from elsewhere: user text that slipped into markup could still do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";

const LOCKS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(self), geolocation=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // Asked for again each time, answered by 304: a new binary is a new page at once.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Smaller files than this do not get smaller by packing.
const WORTH_PACKING: usize = 512;

/// The routes.
pub fn routes(cors: Arc<Cors>) -> Router {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { file::<Web>("index.html", &headers) }))
        .route("/console", get(|headers: HeaderMap| async move { file::<Web>("console.html", &headers) }))
        .route(
            "/web/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { file::<Web>(&path, &headers) }),
        )
        .route(
            "/sdk/{*path}",
            get(move |Path(path): Path<String>, headers: HeaderMap| {
                let cors = cors.clone();
                async move { sdk(&path, &headers, &cors) }
            }),
        )
}

/// The authority of a certificate that was made here, as phones take it.
pub fn authority(pem: String) -> Router {
    let kind = [(header::CONTENT_TYPE, "application/x-x509-ca-cert"), (header::CACHE_CONTROL, "no-store")];
    Router::new().route(lan::AUTHORITY, get(move || async move { (kind, pem) }))
}

/// A file of the SDK: pages of other origins may import it where they may call.
fn sdk(path: &str, asked: &HeaderMap, cors: &Cors) -> Response {
    let mut response = file::<Sdk>(path, asked);
    cors.apply(response.headers_mut(), false);
    response
}

/// A page by its name.
pub fn page(name: &str, asked: &HeaderMap) -> Response {
    file::<Web>(name, asked)
}

fn file<Files: Embed>(path: &str, asked: &HeaderMap) -> Response {
    let (Some(found), Some(kind)) = (Files::get(path), kind(path)) else {
        return (StatusCode::NOT_FOUND, "there is no such page").into_response();
    };
    let hash = found.metadata.sha256_hash();
    let takes = |h: &HeaderValue| h.to_str().is_ok_and(|h| h.split(',').any(|e| e.trim().starts_with("gzip")));
    let packed = found.data.len() >= WORTH_PACKING && asked.get_all(header::ACCEPT_ENCODING).iter().any(takes);
    let tag = tag(&hash, packed);
    let known = |h: &HeaderValue| h.to_str().is_ok_and(|h| h.split(',').any(|t| t.trim() == tag));
    let mut response = if asked.get_all(header::IF_NONE_MATCH).iter().any(known) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if packed {
        let mut response = Response::new(Body::from(pack(hash, &found.data)));
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        Response::new(Body::from(found.data.into_owned()))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    for (name, value) in LOCKS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The type of a file that may be served; nothing else is.
fn kind(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

fn tag(hash: &[u8; 32], packed: bool) -> String {
    let mut tag = String::from("\"");
    for byte in &hash[..12] {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push_str(if packed { "-gz\"" } else { "\"" });
    tag
}

/// Packs a file once. As many are kept as there are files.
fn pack(hash: [u8; 32], data: &[u8]) -> Bytes {
    static PACKED: Mutex<BTreeMap<[u8; 32], Bytes>> = Mutex::new(BTreeMap::new());
    if let Some(bytes) = PACKED.lock().get(&hash) {
        return bytes.clone();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(data);
    let bytes = Bytes::from(encoder.finish().unwrap_or_default());
    PACKED.lock().insert(hash, bytes.clone());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_page_is_packed_tagged_and_locked() {
        let plain = file::<Web>("index.html", &HeaderMap::new());
        assert_eq!(plain.status(), StatusCode::OK);
        assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = plain.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        let packed = file::<Web>("index.html", &asking(header::ACCEPT_ENCODING, "br, gzip"));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_ne!(packed.headers()[header::ETAG], plain.headers()[header::ETAG]);
        let tag = plain.headers()[header::ETAG].to_str().unwrap();
        assert_eq!(file::<Web>("index.html", &asking(header::IF_NONE_MATCH, tag)).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn only_files_of_the_pages_are_served() {
        for path in ["", "nothing.js", "../Cargo.toml", "demo/../../Cargo.toml", "%2e%2e/Cargo.toml"] {
            assert_eq!(file::<Web>(path, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(file::<Sdk>("index.js", &HeaderMap::new()).status(), StatusCode::OK);
        assert_eq!(file::<Sdk>("index.d.ts", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn other_origins_may_import_the_sdk_where_they_may_call() {
        let of = |setting: &str, path: &str, asked: &HeaderMap| {
            let response = sdk(path, asked, &Cors::new(setting).unwrap());
            response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|v| v.to_str().unwrap().to_owned())
        };
        let whole = HeaderMap::new();
        assert_eq!(of("*", "index.js", &whole).as_deref(), Some("*"));
        assert_eq!(of("https://app.example.com", "room.js", &whole).as_deref(), Some("https://app.example.com"));
        assert_eq!(of("", "index.js", &whole), None, "nobody from elsewhere");
        // What the browser has already must be said to be theirs again.
        let tag = file::<Sdk>("index.js", &whole).headers()[header::ETAG].to_str().unwrap().to_owned();
        let known = asking(header::IF_NONE_MATCH, &tag);
        assert_eq!(sdk("index.js", &known, &Cors::new("*").unwrap()).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(of("*", "index.js", &known).as_deref(), Some("*"));
        assert!(!file::<Web>("index.html", &whole).headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[test]
    fn the_pages_are_light_and_hold_nothing_inline() {
        let weight = |dir: &str| -> usize {
            let of = |name: &str| Web::get(name).map_or(0, |f| f.data.len());
            Web::iter().filter(|n| n.starts_with(dir)).map(|n| of(&n)).sum()
        };
        let sdk: usize = Sdk::iter()
            .filter(|n| n.ends_with(".js") && !n.ends_with("wechat.js"))
            .map(|n| Sdk::get(&n).map_or(0, |f| f.data.len()))
            .sum();
        let demo = weight("demo") + weight("style.css") + weight("index.html") + weight("icons.svg") + sdk;
        // All of it; what comes before the first paint is measured in a browser (tests/web/demo.mjs).
        assert!(demo <= 250_000, "{demo} bytes");
        for page in ["index.html", "console.html", "api.html"] {
            let data = Web::get(page).unwrap().data;
            let text = std::str::from_utf8(&data).unwrap();
            assert!(!text.contains("style=") && !text.contains(" on") || !text.contains("=\"javascript"), "{page}");
            assert!(!text.contains("http://") && !text.contains("https://"), "{page} asks others");
        }
    }
}
