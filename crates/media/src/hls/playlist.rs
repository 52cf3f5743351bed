//! The media playlist (RFC 8216, and its second edition's low-latency tags) of a window of segments, and the multivariant one,
//! which names those of its tracks.

use std::fmt::Write as _;

use super::Settings;
use super::segment::{Part, Segment, Which};
use super::segmenter::Segmenter;
use crate::codec::{AudioInfo, VideoInfo};

/// Parts are listed of this many segments at the end, besides the one being made.
const WITH_PARTS: usize = 2;
/// And of as many as last for so long, in microseconds: hls.js 1.7 loads parts only while it has more buffered than the first part
/// that is listed, and as much as is there of the segment being made.
const PARTS_SPAN: i64 = 4_000_000;

/// How far behind the keyframe players are told to begin, so that rounding does not lead them before it. Microseconds.
const INTO: i64 = 10_000;

/// How a playlist's files are named.
pub struct Names<'a> {
    /// What stands before a file's name, relative to the playlist.
    pub before: String,
    /// What of the stream is listed.
    pub which: Which,
    /// Empty or with its `?`.
    pub query: &'a str,
}

impl Names<'_> {
    fn uri(&self, file: impl std::fmt::Display, extension: &str) -> String {
        format!("{}{file}{}{extension}{}", self.before, self.which.tag(), self.query)
    }
}

/// Writes the playlist of pictures and sound. URIs are relative to it: `{stem}/{file}{query}`.
pub fn write(segmenter: &Segmenter, settings: &Settings, stem: &str, query: &str) -> String {
    write_of(segmenter, settings, &Names { before: format!("{stem}/"), which: Which::All, query })
}

/// Writes the multivariant playlist: pictures, and each track of sound. URIs are relative to it.
pub fn write_tracks(segmenter: &Segmenter, stem: &str, query: &str) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    let uri = |which: Which| format!("{stem}/{}.m3u8{query}", which.playlist());
    let mut codecs: Vec<String> = Vec::new();
    for (track, config) in segmenter.sounds() {
        let info = AudioInfo::of(config.codec, &config.payload);
        if track == 0 {
            codecs.push(info.mime);
        }
        // Players choose the first one unless they are told.
        let chosen = if track == 0 { "DEFAULT=YES,AUTOSELECT=YES" } else { "DEFAULT=NO,AUTOSELECT=NO" };
        let _ = writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Track {}\",{chosen},CHANNELS=\"{}\",URI=\"{}\"",
            track + 1,
            info.channels.max(1),
            uri(Which::Sound(track)),
        );
    }
    let pictures = segmenter.video().map(|config| VideoInfo::of(config.codec, &config.payload));
    let (resolution, which) = match pictures {
        Some(info) => {
            codecs.insert(0, info.mime);
            (format!(",RESOLUTION={}x{}", info.width, info.height), Which::Pictures)
        }
        None => (String::new(), Which::Sound(0)),
    };
    let codecs = codecs.join(",");
    let _ = writeln!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={},CODECS=\"{codecs}\"{resolution},AUDIO=\"sound\"\n{}",
        most(segmenter),
        uri(which),
    );
    out
}

/// Writes a multivariant playlist of sound alone. Players of media playlists fail where pictures come later; those who were led to
/// the playlist of the sound hear on, and who opens the stream from then on sees it. URIs are relative to it.
pub fn write_sound(segmenter: &Segmenter, stem: &str, query: &str) -> String {
    let codec = segmenter.sounds().next().map(|(_, config)| AudioInfo::of(config.codec, &config.payload).mime);
    let uri = format!("{stem}/{}.m3u8{query}", Which::Sound(0).playlist());
    let codecs = codec.map(|mime| format!(",CODECS=\"{mime}\"")).unwrap_or_default();
    let bandwidth = most(segmenter);
    format!("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}{codecs}\n{uri}\n")
}

/// Bits a second of the segment that has most.
fn most(segmenter: &Segmenter) -> u64 {
    let rate = |segment: &Segment| segment.bytes.len() as f64 * 8.0 / seconds(segment.duration).max(0.1);
    segmenter.segments().iter().map(rate).fold(1.0, f64::max).ceil() as u64
}

/// Writes the playlist of some of the tracks.
pub fn write_of(segmenter: &Segmenter, settings: &Settings, names: &Names<'_>) -> String {
    let which = names.which;
    let is_sound = matches!(which, Which::Sound(_));
    let mut out = String::with_capacity(4096);
    let there = segmenter.with(which).len();
    // No less than players are held back (RFC 8216 §6.2.2).
    let listed = enough(segmenter.with(which), settings.listed, 3 * 1_000_000 * segmenter.target());
    let listed = segmenter.with(which).skip(there - listed);
    let (current, parts, anew) = segmenter.current();
    let first = listed.clone().next().map_or(current, |s| s.number);
    let hidden = segmenter.segments().iter().take_while(|segment| segment.number < first);
    let dropped = segmenter.discontinuities() + hidden.map(|s| u64::from(s.discontinuity)).sum::<u64>();
    write_promises(&mut out, segmenter, first);
    if let Some(start) =
        begin(listed.clone(), parts, 3 * segmenter.part_target()).filter(|_| !segmenter.ended() && !is_sound)
    {
        let _ = writeln!(out, "#EXT-X-START:TIME-OFFSET={:.3}", seconds(start + INTO));
    }
    if dropped > 0 {
        let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{dropped}");
    }
    let with_parts = current - enough(segmenter.with(which), WITH_PARTS, PARTS_SPAN) as u64;
    let mut map = None;
    let mut introduce = |out: &mut String, discontinuity: bool, init: u64| {
        if discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if map.replace(init) != Some(init) {
            let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}\"", names.uri(init, ".init.mp4"));
        }
    };
    for segment in listed {
        let init = if is_sound { segment.init_of_sound } else { segment.init };
        introduce(&mut out, segment.discontinuity, init);
        if let Some(came) = segment.came {
            let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date(came));
        }
        if segment.number >= with_parts {
            list(&mut out, &segment.parts, segment.number, names);
        }
        if !segment.has(which) {
            out.push_str("#EXT-X-GAP\n");
        }
        let duration = seconds(segment.duration);
        let _ = write!(out, "#EXTINF:{duration:.5},\n{}\n", names.uri(segment.number, ".m4s"));
    }
    if segmenter.ended() {
        out.push_str("#EXT-X-ENDLIST\n");
        return out;
    }
    if let Some(init) = segmenter.current_init(which) {
        introduce(&mut out, anew, init);
        list(&mut out, parts, current, names);
        let next = names.uri(format_args!("{current}.{}", parts.len()), ".m4s");
        let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}\"");
    }
    out
}

/// How many of the newest segments are at least so many, and last for so long (microseconds). Those at a beginning and before a
/// discontinuity are short.
fn enough<'a>(segments: impl DoubleEndedIterator<Item = &'a Segment>, least: usize, span: i64) -> usize {
    let mut behind = 0;
    let mut count = 0;
    for segment in segments.rev() {
        if count >= least && behind >= span {
            break;
        }
        count += 1;
        behind += segment.duration;
    }
    count
}

/// What the playlist promises for as long as it lives, and where it begins.
fn write_promises(out: &mut String, segmenter: &Segmenter, first: u64) {
    let target = segmenter.target();
    let part_target = seconds(segmenter.part_target());
    let _ = write!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},HOLD-BACK={}\n\
         #EXT-X-PART-INF:PART-TARGET={part_target:.3}\n#EXT-X-MEDIA-SEQUENCE:{first}\n",
        part_target * 3.0,
        target * 3,
    );
}

/// Where players had better begin, in microseconds from the beginning of the playlist: at the newest keyframe, if their distance from
/// the end, `hold_back`, leads into a segment without one, or such a segment follows. There some (hls.js) load what they cannot decode, and
/// stay black; video.js 8.24 and shaka 5.2 choose one of the last, too, and show nothing.
/// `None` where they find a keyframe themselves, or there is none. Not from the end: video.js counts the segment that is being
/// made there as long as a segment may be.
fn begin<'a>(segments: impl Iterator<Item = &'a Segment>, open: &[Part], hold_back: i64) -> Option<i64> {
    let mut at = 0;
    let mut starts = Vec::new();
    let mut keys = Vec::new();
    for parts in segments.map(|segment| &segment.parts[..]).chain([open]).filter(|parts| !parts.is_empty()) {
        starts.push((at, parts.iter().any(|part| part.independent)));
        for part in parts {
            keys.extend(part.independent.then_some(at));
            at += part.duration;
        }
    }
    let from = starts.iter().rposition(|(start, _)| *start <= at - hold_back).unwrap_or(0);
    let has_all = starts.into_iter().skip(from).all(|(_, has_key)| has_key);
    keys.pop().filter(|_| !has_all)
}

fn list(out: &mut String, parts: &[Part], segment: u64, names: &Names<'_>) {
    let is_sound = matches!(names.which, Which::Sound(_));
    for (number, part) in parts.iter().enumerate() {
        let duration = seconds(part.duration);
        let independent = if part.independent || is_sound { ",INDEPENDENT=YES" } else { "" };
        let gap = if part.has(names.which) { "" } else { ",GAP=YES" };
        let uri = names.uri(format_args!("{segment}.{number}"), ".m4s");
        let _ = writeln!(out, "#EXT-X-PART:DURATION={duration:.5},URI=\"{uri}\"{independent}{gap}");
    }
}

/// Microseconds of Unix time as ISO 8601 has it.
fn date(micros: i64) -> String {
    let days = micros.div_euclid(86_400_000_000);
    let millis = micros.rem_euclid(86_400_000_000) / 1000;
    // Days since 1 March of year 0, in eras of 400 years (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + later;
    let hours = millis / 3_600_000;
    let minutes = millis / 60_000 % 60;
    let millis = millis % 60_000;
    let seconds = millis / 1000;
    let millis = millis % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
