//! SDP as text: what peers leave out of offers is put in before str0m reads them, and what str0m leaves out of answers
//! before peers do. Knows no sessions.

mod names;

use std::fmt::Write as _;

use super::Refused;
use super::offer::Way;
use crate::frame::Codec;

/// What is added to an H.264 format that says nothing of it. RFC 6184 then has packets of one NAL unit only, but those who
/// leave it out (GStreamer's whepsrc) read fragments as well.
const MODE: &str = "packetization-mode=1";

/// An `m=` line with what belongs to it.
#[derive(Debug, Clone)]
struct Section {
    /// All lines; the first is the `m=` line.
    lines: Vec<String>,
}

impl Section {
    /// The media type: `audio`, `video`.
    fn kind(&self) -> &str {
        self.lines[0].split([' ', '=']).nth(1).unwrap_or_default()
    }

    fn is_rejected(&self) -> bool {
        self.lines[0].split(' ').nth(1) == Some("0") && !self.has("a=bundle-only")
    }

    /// Whether it offers media of `kind`.
    fn offers(&self, kind: &str) -> bool {
        self.kind() == kind && !self.is_rejected() && self.direction() != Some("inactive")
    }

    fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|l| l == line)
    }

    fn value<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix(prefix))
    }

    /// Its ICE user name fragment, if it has one of its own.
    fn fragment(&self) -> Option<&str> {
        self.value("a=ice-ufrag:").next()
    }

    /// Payload type and codec of each format, in the peer's order of preference.
    fn formats(&self) -> Vec<(&str, &str)> {
        let named: Vec<(&str, &str)> = self
            .value("a=rtpmap:")
            .filter_map(|map| Some((map.split_once(' ')?.0, map.split([' ', '/']).nth(1)?)))
            .collect();
        let order = self.lines[0].split(' ').skip(3);
        order.filter_map(|pt| named.iter().find(|(known, _)| *known == pt).copied()).collect()
    }

    /// Asks for the sound that was offered: what a publisher's page puts into its offer says how it wants to send. Formats stand in
    /// the order of the offer, since Chromium sends RED only where that comes first.
    fn answer_sound(&mut self, offered: &Section) {
        let opus = self.formats().into_iter().find(|(_, name)| name.eq_ignore_ascii_case("opus"));
        let prefix = opus.map(|(pt, _)| format!("a=fmtp:{pt} "));
        let wants = |what: &str| offered.value("a=fmtp:").any(|line| line.split([' ', ';']).any(|part| part == what));
        let stereo = wants("stereo=1") || wants("sprop-stereo=1");
        let line = prefix.and_then(|prefix| self.lines.iter_mut().find(|line| line.starts_with(&prefix)));
        if let Some(line) = line {
            let add = |line: &mut String, what: &str| {
                if !line.split([' ', ';']).any(|part| part == what) {
                    *line = format!("{line};{what}");
                }
            };
            ["stereo=1", "sprop-stereo=1"].into_iter().filter(|_| stereo).for_each(|what| add(line, what));
            ["usedtx=1"].into_iter().filter(|what| wants(what)).for_each(|what| add(line, what));
        }
        let order: Vec<&str> = offered.lines[0].split(' ').skip(3).collect();
        let mut words: Vec<&str> = self.lines[0].split(' ').collect();
        if let Some(formats) = words.get_mut(3..) {
            formats.sort_by_key(|pt| order.iter().position(|other| other == pt));
        }
        self.lines[0] = words.join(" ");
    }

    fn direction(&self) -> Option<&'static str> {
        DIRECTIONS.into_iter().find(|way| self.lines.iter().any(|line| line.strip_prefix("a=") == Some(way)))
    }

    fn set_direction(&mut self, way: &str) {
        self.lines.retain(|line| !DIRECTIONS.iter().any(|known| line.strip_prefix("a=") == Some(known)));
        self.lines.push(format!("a={way}"));
    }
}

/// Formats that are no codecs: repair, redundancy, tones.
const HELPERS: [&str; 6] = ["rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "CN"];
/// Feedback may come without a report before it (RFC 5506).
const REDUCED: &str = "a=rtcp-rsize";
const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// An offer or an answer, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Sdp {
    session: Vec<String>,
    sections: Vec<Section>,
    /// H.264 formats whose profile was put in other words, with what the peer called it.
    renamed: Vec<(String, String)>,
    /// Names of lines that str0m cannot hold: what stands for them, and what the peer calls them.
    mids: Vec<(String, String)>,
}

/// Lines that were taken out of an offer, with their places.
pub(super) struct Others(Vec<(usize, Section)>);

impl Sdp {
    /// Takes a text apart. Nothing is checked.
    pub fn read(text: &str) -> Self {
        let mut sdp = Sdp { session: Vec::new(), sections: Vec::new(), renamed: Vec::new(), mids: Vec::new() };
        // Bandwidths and titles of lines mean nothing here, and str0m takes one of each at most.
        let means_something = |line: &&str| !line.is_empty() && !line.starts_with("b=") && !line.starts_with("i=");
        for line in text.lines().filter(means_something) {
            match sdp.sections.last_mut() {
                _ if line.starts_with("m=") => sdp.sections.push(Section { lines: vec![line.to_owned()] }),
                Some(section) => section.lines.push(line.to_owned()),
                None => sdp.session.push(line.to_owned()),
            }
        }
        sdp
    }

    /// The text again.
    pub fn text(&self) -> String {
        let lines = self.session.iter().chain(self.sections.iter().flat_map(|section| &section.lines));
        lines.flat_map(|line| [line.as_str(), "\r\n"]).collect()
    }

    /// Puts in what offers in the field leave out, and says no to what cannot be meant.
    pub fn complete(&mut self, way: Way) -> Result<(), Refused> {
        let session_way =
            DIRECTIONS.into_iter().find(|way| self.session.iter().any(|l| l.strip_prefix("a=") == Some(way)));
        let (wanted, unwanted) = if way == Way::In { ("sendonly", "recvonly") } else { ("recvonly", "sendonly") };
        for (n, section) in self.sections.iter_mut().enumerate() {
            section.lines[0] = section.lines[0].replacen(" RTP/SAVPF ", " UDP/TLS/RTP/SAVPF ", 1);
            if section.value("a=mid:").next().is_none() {
                section.lines.push(format!("a=mid:{n}"));
            }
            match section.direction().or(session_way).unwrap_or("sendrecv") {
                given if given == unwanted && !section.is_rejected() => {
                    let kind = section.kind();
                    let role = if way == Way::In { "publisher" } else { "viewer" };
                    return Err(Refused::Unprocessable(format!(
                        "the {kind} line is {given}: a {role} offers {wanted}"
                    )));
                }
                "inactive" => {}
                _ => section.set_direction(wanted),
            }
            self.renamed.extend(name_formats(section));
        }
        for kind in ["audio", "video"] {
            if self.sections.iter().filter(|section| section.offers(kind)).nth(1).is_some() {
                return Err(Refused::Unprocessable(format!("two {kind} lines: a stream has one")));
            }
        }
        let mut prints = self.session.iter().chain(self.sections.iter().flat_map(|section| &section.lines));
        let mut prints = prints.by_ref().filter_map(|line| line.strip_prefix("a=fingerprint:")).peekable();
        let known =
            |print: &str| ["sha-256 ", "sha-1 "].iter().any(|name| print.to_ascii_lowercase().starts_with(name));
        if prints.peek().is_some() && !prints.any(known) {
            return Err(Refused::Unprocessable("no fingerprint of the certificate by SHA-256 is offered".into()));
        }
        self.bundle()?;
        self.name_lines();
        Ok(())
    }

    /// Puts all lines into one bundle, in their order. FFmpeg's WHIP names two where it has one.
    fn bundle(&mut self) -> Result<(), Refused> {
        let place = self.session.iter().position(|line| line.starts_with("a=group:BUNDLE"));
        let named = place.map_or(String::new(), |place| self.session.remove(place));
        let is_named =
            |section: &Section| section.value("a=mid:").any(|mid| named.split(' ').skip(1).any(|name| name == mid));
        let lines: Vec<&Section> = self.sections.iter().filter(|line| !line.is_rejected() || is_named(line)).collect();
        // Lines that the peer has bundled itself may have credentials of their own, until it knows that they are.
        let first = lines.iter().find(|line| is_named(line)).or(lines.first()).and_then(|line| line.fragment());
        let mut others = lines.iter().filter(|line| !is_named(line)).filter_map(|line| line.fragment());
        if others.any(|other| Some(other) != first) {
            let why = "the lines are not bundled and have ICE credentials of their own: offer them with BUNDLE";
            return Err(Refused::Unprocessable(format!("{why} (bundle policy max-bundle)")));
        }
        let mids = lines.iter().flat_map(|line| line.value("a=mid:"));
        let group = mids.fold(String::from("a=group:BUNDLE"), |group, mid| group + " " + mid);
        self.session.insert(place.unwrap_or(self.session.len()), group);
        Ok(())
    }

    /// Takes out the lines that are of neither video nor audio (data channels), with their places.
    pub fn take_others(&mut self) -> Others {
        let mut others = Vec::new();
        let mut kept = Vec::new();
        for (place, section) in self.sections.drain(..).enumerate() {
            if matches!(section.kind(), "audio" | "video") {
                kept.push(section);
            } else {
                others.push((place, section));
            }
        }
        self.sections = kept;
        if let Some(group) = self.session.iter_mut().find(|line| line.starts_with("a=group:BUNDLE")) {
            let gone: Vec<&str> = others.iter().flat_map(|(_, section)| section.value("a=mid:")).collect();
            *group = group.split(' ').filter(|mid| !gone.contains(mid)).collect::<Vec<_>>().join(" ");
        }
        Others(others)
    }

    /// Says no in an answer to lines that were taken out, each in its place.
    pub fn reject(&mut self, others: Others) {
        for (place, section) in others.0 {
            let mut words: Vec<&str> = section.lines[0].split(' ').collect();
            if let Some(port) = words.get_mut(1) {
                *port = "0";
            }
            let mut lines = vec![words.join(" "), "c=IN IP4 0.0.0.0".to_owned()];
            lines.extend(section.value("a=mid:").map(|mid| format!("a=mid:{mid}")));
            self.sections.insert(place.min(self.sections.len()), Section { lines });
        }
    }

    /// Whether a line of `kind` is offered.
    pub fn offers(&self, kind: &str) -> bool {
        self.sections.iter().any(|section| section.offers(kind))
    }

    /// The names of the formats offered for `kind`, each once.
    pub fn names(&self, kind: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for (_, name) in
            self.sections.iter().filter(|s| s.kind() == kind && !s.is_rejected()).flat_map(Section::formats)
        {
            if !HELPERS.iter().any(|helper| name.eq_ignore_ascii_case(helper)) && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The video codecs offered, in the peer's order, each once.
    pub fn video_codecs(&self) -> Vec<Codec> {
        self.names("video").into_iter().filter_map(codec_of).collect()
    }

    /// Whether lost packets of these formats are asked for again and none has a format of its own for that.
    pub fn repeats_plainly(&self, formats: impl IntoIterator<Item = u8>) -> bool {
        let has = |line: &str| self.sections.iter().any(|section| section.has(line));
        let repairs = |pt: u8| {
            let what = format!("apt={pt}");
            let mut lines = self.sections.iter().flat_map(|section| section.value("a=fmtp:"));
            lines.any(|line| line.split([' ', ';']).any(|part| part == what))
        };
        formats.into_iter().all(|pt| has(&format!("a=rtcp-fb:{pt} nack")) && !repairs(pt))
    }

    /// Agrees to send lost sound of this format again, if the offer has that. Says whether it does.
    pub fn repeats_sound(&mut self, offer: &Sdp, pt: u8) -> bool {
        let asks = |section: &Section| {
            section.kind() == "audio"
                && (section.has(&format!("a=rtcp-fb:{pt} nack")) || section.has("a=rtcp-fb:* nack"))
        };
        let mut sections = self.sections.iter_mut().zip(&offer.sections);
        let section = sections.find(|(section, offered)| !section.is_rejected() && asks(offered));
        let Some((section, _)) = section else { return false };
        section.lines.push(format!("a=rtcp-fb:{pt} nack"));
        true
    }

    /// Calls the profiles in an answer what the offer called them.
    pub fn rename(&mut self, offer: &Sdp) {
        for (pt, given) in &offer.renamed {
            let prefix = format!("a=fmtp:{pt} ");
            let mut lines = self.sections.iter_mut().flat_map(|section| &mut section.lines);
            if let Some(line) = lines.find(|line| line.starts_with(&prefix)) {
                *line = with_profile(line, given);
            }
        }
    }

    /// What a fragment (RFC 8840) of this answer's session begins with, as RFC 9725 §4.3.3 shows it: the bundle, and the line that
    /// stands for all of it.
    pub fn fragment(&self) -> String {
        let mut out = String::from("a=ice-lite\r\na=ice-options:trickle ice2\r\n");
        let group = self.session.iter().find(|line| line.starts_with("a=group:BUNDLE"));
        let first = self.sections.iter().find(|section| !section.is_rejected());
        let line = first.into_iter().flat_map(|section| {
            [&section.lines[0]].into_iter().chain(section.lines.iter().find(|line| line.starts_with("a=mid:")))
        });
        group.into_iter().chain(line).for_each(|line| {
            let _ = write!(out, "{line}\r\n");
        });
        out
    }

    /// Puts these formats, with what repairs them, before the others of their line: of what there is now, for players that look
    /// at the first one only.
    pub fn begin_with(&mut self, formats: impl IntoIterator<Item = u8>) {
        let first: Vec<String> = formats.into_iter().map(|pt| pt.to_string()).collect();
        for section in self.sections.iter_mut().filter(|section| section.kind() == "video") {
            let repairs = |pt: &str| {
                let of = section.value("a=fmtp:").find_map(|line| line.strip_prefix(pt)?.strip_prefix(" apt="));
                of.is_some_and(|of| first.iter().any(|pt| pt == of))
            };
            let mut words: Vec<&str> = section.lines[0].split(' ').collect();
            if let Some(formats) = words.get_mut(3..) {
                formats.sort_by_key(|pt| !(first.iter().any(|of| of == pt) || repairs(pt)));
            }
            section.lines[0] = words.join(" ");
        }
    }

    /// Mends an answer of str0m's to `offer`: candidates stand in every accepted line and in no other, the bundle holds
    /// the accepted lines, feedback is what was offered, and sound is stereo where that was offered.
    pub fn answer(&mut self, offer: &Sdp) {
        let candidates: Vec<String> =
            self.sections.iter().flat_map(|s| s.value("a=candidate:").map(|c| format!("a=candidate:{c}"))).collect();
        for (section, offered) in self.sections.iter_mut().zip(&offer.sections) {
            let rejected = section.is_rejected();
            section.lines.retain(|line| {
                let feedback = line.strip_prefix("a=rtcp-fb:").and_then(|line| line.split_once(' '));
                let asked = feedback.is_none_or(|(pt, what)| {
                    offered.has(line) || offered.has(&format!("a=rtcp-fb:* {what}")) || pt.is_empty()
                });
                asked && !line.starts_with("a=candidate:")
            });
            if !rejected {
                section.lines.extend(candidates.iter().cloned());
                section.lines.push("a=end-of-candidates".into());
                // Else each request to send again comes with a report, of the few packets since the last.
                section.lines.extend(offered.has(REDUCED).then(|| REDUCED.to_owned()));
            }
            if section.kind() == "audio" && !section.is_rejected() {
                section.answer_sound(offered);
            }
        }
        let accepted = self.sections.iter().filter(|section| !section.is_rejected());
        let mut group = String::from("a=group:BUNDLE");
        for mid in accepted.flat_map(|section| section.value("a=mid:")) {
            let _ = write!(group, " {mid}");
        }
        if let Some(line) = self.session.iter_mut().find(|line| line.starts_with("a=group:BUNDLE")) {
            *line = group;
        }
    }
}

/// Spells formats as str0m looks for them: Opus with its two channels, H.264 with a packetization mode and a profile by its usual
/// name, AV1 without a level. Returns the formats whose profile has another name now, with what the peer called it.
fn name_formats(section: &mut Section) -> Vec<(String, String)> {
    let mut missing = Vec::new();
    let mut leveled = Vec::new();
    for line in &mut section.lines {
        let Some((pt, map)) = line.strip_prefix("a=rtpmap:").and_then(|map| map.split_once(' ')) else { continue };
        if map.eq_ignore_ascii_case("opus/48000") || map.eq_ignore_ascii_case("opus/48000/2") {
            *line = format!("a=rtpmap:{pt} opus/48000/2");
        } else if map.eq_ignore_ascii_case("H264/90000") {
            missing.push(pt.to_owned());
        } else if map.eq_ignore_ascii_case("AV1/90000") {
            leveled.push(format!("a=fmtp:{pt} "));
        }
    }
    // str0m takes the level for a part of the name, and it says how much a peer decodes.
    for line in section.lines.iter_mut().filter(|line| leveled.iter().any(|prefix| line.starts_with(prefix))) {
        *line = without_level(line);
    }
    let mut renamed = Vec::new();
    for pt in missing {
        let prefix = format!("a=fmtp:{pt} ");
        let Some(line) = section.lines.iter_mut().find(|line| line.starts_with(&prefix)) else {
            section.lines.push(format!("{prefix}{MODE};profile-level-id=42e01f"));
            continue;
        };
        if !line.contains("packetization-mode=") {
            *line = format!("{line};{MODE}");
        }
        let given = line.split([' ', ';']).find_map(|part| part.strip_prefix(PROFILE)).map(str::to_owned);
        if let Some(given) = given
            && let Some(usual) = usual_profile(&given)
            && !usual.eq_ignore_ascii_case(&given)
        {
            *line = with_profile(line, &usual);
            renamed.push((pt, given));
        }
    }
    renamed
}

/// What a profile and level of H.264 stand behind.
const PROFILE: &str = "profile-level-id=";
/// The levels that there are (ITU-T H.264, table A-1), as far as str0m knows them.
const LEVELS: [u8; 16] = [10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52];

/// The usual name of an H.264 profile and level, where it is one that is served. Encoders copy the bytes of their parameter sets,
/// with constraints that name no profile and levels beyond what WebRTC knows, or write a digit more (FFmpeg 8).
fn usual_profile(given: &str) -> Option<String> {
    let middle = given.len().checked_sub(4).filter(|middle| (1..=4).contains(middle) && given.is_ascii())?;
    let number = |digits: &str| u8::from_str_radix(digits, 16).ok();
    let profile = number(&given[..2])?;
    let constraints = u32::from_str_radix(&given[2..2 + middle], 16).ok()?;
    let level = number(&given[2 + middle..])?;
    let usual = match profile {
        // Of a number that is too long, FFmpeg's own bit says that it is constrained.
        0x42 if constraints & 0x240 != 0 => [0x42, if constraints > 0xff { 0xe0 } else { constraints as u8 & 0xf0 }],
        0x42 => [0x42, constraints as u8 & 0xf0],
        0x4d if constraints & 0x80 != 0 => [0x4d, constraints as u8 & 0xf0],
        0x4d => [0x4d, 0],
        0x64 if constraints == 0x0c => [0x64, 0x0c],
        0x64 => [0x64, 0],
        _ => return None,
    };
    let level = LEVELS.iter().rev().find(|known| **known <= level).unwrap_or(&LEVELS[0]);
    Some(format!("{:02x}{:02x}{level:02x}", usual[0], usual[1]))
}

/// An `a=fmtp` line with another profile.
fn with_profile(line: &str, profile: &str) -> String {
    let Some((before, rest)) = line.split_once(PROFILE) else { return line.to_owned() };
    let after = rest.find(';').map_or("", |at| &rest[at..]);
    format!("{before}{PROFILE}{profile}{after}")
}

/// An `a=fmtp` line without AV1's level, unless it is the one that is meant where none is named.
fn without_level(line: &str) -> String {
    let Some((pt, parameters)) = line.split_once(' ') else { return line.to_owned() };
    let is_level = |part: &str| part.trim().strip_prefix("level-idx=").is_some_and(|level| level != "5");
    let kept: Vec<&str> = parameters.split(';').filter(|part| !is_level(part)).collect();
    let kept = if kept.is_empty() { "profile=0".to_owned() } else { kept.join(";") };
    format!("{pt} {kept}")
}

/// The codec of a name in `a=rtpmap`.
fn codec_of(name: &str) -> Option<Codec> {
    const NAMES: [(&str, Codec); 5] =
        [("H264", Codec::H264), ("H265", Codec::H265), ("AV1", Codec::Av1), ("VP8", Codec::Vp8), ("VP9", Codec::Vp9)];
    NAMES.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, codec)| codec)
}

/// Which of the codecs that a publisher offers its stream is to have: what it puts first, as that is its wish, but not VP8,
/// which browsers put first by default and no RTMP, FLV or HLS player knows, as long as H.264 is there too.
pub(super) fn choose(offered: &[Codec]) -> Option<Codec> {
    match offered.first()? {
        Codec::Vp8 if offered.contains(&Codec::H264) => Some(Codec::H264),
        first => Some(*first),
    }
}

#[cfg(test)]
mod tests;
