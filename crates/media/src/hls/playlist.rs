//! The media playlist (RFC 8216, and its second edition's low-latency tags) of a window of segments.

use std::fmt::Write as _;

use super::Settings;
use super::segmenter::{Part, Segmenter};

/// Parts are listed of this many segments at the end, besides the one being made.
const WITH_PARTS: usize = 2;

/// Writes the playlist. URIs are relative to it: `{stem}/{file}{query}`.
pub fn write(segmenter: &Segmenter, settings: &Settings, stem: &str, query: &str) -> String {
    let mut out = String::with_capacity(4096);
    let segments = segmenter.segments();
    let listed = segments.len().min(settings.listed);
    let (hidden, listed) =
        (segments.iter().take(segments.len() - listed), segments.iter().skip(segments.len() - listed));
    let dropped = segmenter.discontinuities() + hidden.map(|s| u64::from(s.discontinuity)).sum::<u64>();
    let (current, parts, anew) = segmenter.current();
    let first = listed.clone().next().map_or(current, |s| s.number);
    let (target, part_target) = (segmenter.target(), seconds(segmenter.part_target()));
    let _ = write!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},HOLD-BACK={}\n\
         #EXT-X-PART-INF:PART-TARGET={part_target:.3}\n#EXT-X-MEDIA-SEQUENCE:{first}\n",
        part_target * 3.0,
        target * 3,
    );
    if dropped > 0 {
        let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{dropped}");
    }
    let with_parts = current.saturating_sub(WITH_PARTS as u64);
    let mut map = None;
    let mut introduce = |out: &mut String, discontinuity: bool, init: u64| {
        if discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if map.replace(init) != Some(init) {
            let _ = writeln!(out, "#EXT-X-MAP:URI=\"{stem}/{init}.init.mp4{query}\"");
        }
    };
    for segment in listed {
        introduce(&mut out, segment.discontinuity && segment.number > first, segment.init);
        if segment.number >= with_parts {
            list(&mut out, &segment.parts, segment.number, stem, query);
        }
        let (duration, number) = (seconds(segment.duration), segment.number);
        let _ = write!(out, "#EXTINF:{duration:.5},\n{stem}/{number}.m4s{query}\n");
    }
    if segmenter.ended() {
        out.push_str("#EXT-X-ENDLIST\n");
        return out;
    }
    if let Some(init) = segmenter.current_init() {
        introduce(&mut out, anew && current > first, init);
        list(&mut out, parts, current, stem, query);
        let next = parts.len();
        let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{stem}/{current}.{next}.m4s{query}\"");
    }
    out
}

fn list(out: &mut String, parts: &[Part], segment: u64, stem: &str, query: &str) {
    for (number, part) in parts.iter().enumerate() {
        let (duration, independent) = (seconds(part.duration), if part.independent { ",INDEPENDENT=YES" } else { "" });
        let _ = writeln!(
            out,
            "#EXT-X-PART:DURATION={duration:.5},URI=\"{stem}/{segment}.{number}.m4s{query}\"{independent}"
        );
    }
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
