//! `GET /recordings/{file}`: a finished recording, for whoever holds a URL that a list of recordings gave; and the files of
//! recordings as operators fetch them. By parts too, as players of phones and downloads that go on ask for it.

use std::io::SeekFrom;
use std::ops::RangeInclusive;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::stream;
use media::record::Recorder;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::streaming::Media;
use streams::live::recording_name;

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// Answers with the file, or with the part of it that is asked for.
pub async fn play(
    State(media): State<Arc<Media>>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut answer = match open(&media, file, &query.unwrap_or_default()).await {
        Ok(path) => send(&path, &headers).await.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response()),
        Err(status) => status.into_response(),
    };
    media.cors.apply(answer.headers_mut(), false);
    answer
}

async fn open(media: &Media, file: String, query: &str) -> Result<PathBuf, StatusCode> {
    media.gate.may_play(&recording_name(&file), query).map_err(|_| StatusCode::FORBIDDEN)?;
    let recorder = media.recorder.clone().ok_or(StatusCode::NOT_FOUND)?;
    let find = move || -> Option<PathBuf> {
        let whole = recorder.list().iter().any(|known| known.file == file && !known.running);
        whole.then(|| recorder.path(&file)).flatten()
    };
    tokio::task::spawn_blocking(find).await.ok().flatten().ok_or(StatusCode::NOT_FOUND)
}

/// A recording, also one that is still being written, for who may have all: as far as it is, or the part of it that is asked for.
/// `None` if there is none of that name.
pub async fn fetch(recorder: Option<Recorder>, file: String, headers: &HeaderMap) -> Option<Response> {
    let find = move || recorder.and_then(|recorder| recorder.path(&file));
    let path = tokio::task::spawn_blocking(find).await.ok().flatten()?;
    send(&path, headers).await
}

/// What is asked for of so many bytes.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(RangeInclusive<u64>),
    /// What there is not.
    Beyond,
}

/// What a file is, as long as it is the same: it grows, and never changes otherwise.
fn tag(path: &FilePath, size: u64) -> Option<HeaderValue> {
    let name = path.file_name()?.to_str()?;
    HeaderValue::try_from(format!("\"{name}-{size}\"")).ok()
}

/// Reads `Range`, for the file that `If-Range` speaks of. Of several parts, and of what is no range, the whole is the answer, as HTTP
/// allows.
fn asked(headers: &HeaderMap, size: u64, tag: Option<&HeaderValue>) -> Asked {
    if headers.get(header::IF_RANGE).is_some_and(|known| Some(known) != tag) {
        return Asked::All;
    }
    let said = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let Some((from, to)) = said.and_then(|said| said.split_once('-')) else { return Asked::All };
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let last = size.saturating_sub(1);
    let part = match (number(from), number(to)) {
        (None, Some(tail)) if from.is_empty() => {
            if tail == 0 {
                return Asked::Beyond;
            }
            size.saturating_sub(tail)..=last
        }
        (Some(from), None) if to.is_empty() => from..=last,
        (Some(from), Some(to)) if from <= to => from..=to.min(last),
        _ => return Asked::All,
    };
    if *part.start() >= size { Asked::Beyond } else { Asked::Part(part) }
}

async fn send(path: &FilePath, headers: &HeaderMap) -> Option<Response> {
    let mut file = File::open(path).await.ok()?;
    let size = file.metadata().await.ok()?.len();
    let tag = tag(path, size);
    let (status, part) = match asked(headers, size, tag.as_ref()) {
        Asked::Beyond => {
            let mut answer = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            let all = HeaderValue::try_from(format!("bytes */{size}"));
            answer.headers_mut().extend(all.ok().map(|all| (header::CONTENT_RANGE, all)));
            return Some(answer);
        }
        Asked::All => (StatusCode::OK, None),
        Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part)),
    };
    let (from, length) = part.as_ref().map_or((0, size), |part| (*part.start(), part.end() - part.start() + 1));
    if from > 0 {
        file.seek(SeekFrom::Start(from)).await.ok()?;
    }
    let pieces = stream::unfold(file.take(length), |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.freeze()), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    let mut answer = (status, Body::from_stream(pieces)).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.extend(tag.map(|tag| (header::ETAG, tag)));
    let told = part.map(|part| HeaderValue::try_from(format!("bytes {}-{}/{size}", part.start(), part.end())));
    headers.extend(told.and_then(Result::ok).map(|told| (header::CONTENT_RANGE, told)));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        let of = |range: &str| {
            asked(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_str(range).unwrap())]), 10, None)
        };
        assert_eq!(asked(&HeaderMap::new(), 10, None), Asked::All);
        for (range, part) in [
            ("bytes=0-1", 0..=1),
            ("bytes=4-", 4..=9),
            ("bytes=-3", 7..=9),
            ("bytes=8-99", 8..=9),
            ("bytes=-99", 0..=9),
        ] {
            assert_eq!(of(range), Asked::Part(part), "{range}");
        }
        for range in ["bytes=10-", "bytes=11-12", "bytes=-0"] {
            assert_eq!(of(range), Asked::Beyond, "{range}");
        }
        for range in ["bytes=", "bytes=2-1", "bytes=0-1,3-4", "bytes=+1-2", "items=0-1", "bytes=a-b", "bytes=-"] {
            assert_eq!(of(range), Asked::All, "{range}");
        }
    }
    #[test]
    fn a_download_goes_on_only_with_the_same_file() {
        let tag = tag(FilePath::new("/films/s.1.mp4"), 10).unwrap();
        assert_eq!(tag, "\"s.1.mp4-10\"");
        let of = |known: &str| {
            let headers = [(header::RANGE, "bytes=4-"), (header::IF_RANGE, known)];
            let headers = headers.map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()));
            asked(&HeaderMap::from_iter(headers), 10, Some(&tag))
        };
        assert_eq!(of("\"s.1.mp4-10\""), Asked::Part(4..=9));
        for other in ["\"s.1.mp4-9\"", "W/\"s.1.mp4-10\"", "Mon, 23 Nov 2026 15:00:00 GMT"] {
            assert_eq!(of(other), Asked::All, "{other}");
        }
    }
}
