//! Whether the tracks of a stream flow: a track is what has frames, whatever was announced. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::item::Expected;
use crate::frame::{Frame, Kind};
use crate::rtmp::amf0::{self, Value};
use crate::silence;

/// A track without frames for this long, while another has them, is no longer promised to those who come.
const SILENT: Duration = Duration::from_secs(5);
/// How long the first frame of a track is waited for where nothing can stand in its place.
const COMES: Duration = Duration::from_secs(1);

/// One track of one publisher.
#[derive(Default)]
pub(super) struct Flow {
    came: bool,
    announced: bool,
    /// Silence can stand in its place.
    fillable: bool,
    /// What the publisher said beforehand: whether there is such a track.
    pub said: Option<bool>,
    /// Since when another track has frames, and this one has none.
    alone: Option<Instant>,
}

/// The tracks of one publisher.
#[derive(Default)]
pub(super) struct Flows {
    pub video: Flow,
    pub audio: Flow,
}

impl Flows {
    /// A frame came.
    pub fn count(&mut self, frame: &Frame, now: Instant) {
        if frame.is_further() {
            return;
        }
        let (own, other) = match frame.kind {
            Kind::Video | Kind::VideoConfig => (&mut self.video, &mut self.audio),
            Kind::Audio | Kind::AudioConfig => (&mut self.audio, &mut self.video),
            Kind::Data => {
                if frame.is_metadata() && says_sound_alone(&frame.payload) {
                    self.video.said = Some(false);
                }
                return;
            }
        };
        own.announced = true;
        if frame.kind.is_config() {
            own.fillable = silence::frame(frame).is_some();
            return;
        }
        own.came = true;
        own.alone = None;
        other.alone.get_or_insert(now);
    }
}

impl Flow {
    /// Whether it flows, or may be about to.
    pub fn flows(&self, now: Instant) -> bool {
        let limit = if self.came || self.fillable { SILENT } else { COMES };
        self.alone.is_none_or(|since| now.saturating_duration_since(since) < limit)
    }

    /// What is to be expected of it while none of it came.
    pub fn expected(&self, now: Instant) -> Expected {
        let soon = self.alone.is_none_or(|since| now.saturating_duration_since(since) < COMES);
        match self.said {
            _ if self.came => Expected::Known,
            Some(false) if !self.announced => Expected::Nothing,
            _ if soon => Expected::Soon,
            _ if self.announced => Expected::AnyTime,
            Some(true) => Expected::AnyTime,
            _ => Expected::Nothing,
        }
    }

    /// Whether this publisher has no such track, though another had.
    pub fn is_gone(&self, now: Instant) -> bool {
        !self.announced && !self.flows(now)
    }
}

/// Whether an `onMetaData` names sound, and nothing of pictures.
fn says_sound_alone(metadata: &[u8]) -> bool {
    let of = |name: &str, parts: &[&str]| parts.iter().any(|part| name.to_ascii_lowercase().contains(part));
    let is_nothing = |value: &Value| *value == Value::Null || *value == Value::Number(0.0);
    let Ok(values) = amf0::read_all(metadata) else { return false };
    let Some(Value::Object(said)) = values.last() else { return false };
    let said = said.iter().filter(|(_, value)| !is_nothing(value));
    let names: Vec<&str> = said.map(|(name, _)| name.as_str()).collect();
    let pictures = ["video", "width", "height", "framerate"];
    names.iter().any(|name| of(name, &["audiocodecid"])) && !names.iter().any(|name| of(name, &pictures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Codec;
    use bytes::{Bytes, BytesMut};

    #[test]
    fn pictures_are_expected_for_a_second_and_longer_where_their_publisher_says_so() {
        let begun = Instant::now();
        for (said, later) in
            [(None, Expected::Nothing), (Some(true), Expected::AnyTime), (Some(false), Expected::Nothing)]
        {
            let mut flows = Flows::default();
            flows.video.said = said;
            let at = |flows: &Flows, ms: u64| flows.video.expected(begun + Duration::from_millis(ms));
            let soon = if said == Some(false) { Expected::Nothing } else { Expected::Soon };
            assert_eq!(at(&flows, 60_000), soon, "nothing came so far");
            flows.count(&Frame::audio(Codec::Aac, 0, Bytes::from_static(b"a")), begun);
            assert_eq!((at(&flows, 999), at(&flows, 1_000)), (soon, later));
            flows.count(&Frame::config(Codec::H264, 0, Bytes::from_static(b"c")), begun);
            assert_eq!((at(&flows, 999), at(&flows, 1_000)), (Expected::Soon, Expected::AnyTime), "announced");
            flows.count(&Frame::video(Codec::H264, 0, 0, true, Bytes::from_static(b"p")), begun);
            assert_eq!((at(&flows, 0), at(&flows, 60_000)), (Expected::Known, Expected::Known));
        }
    }

    #[test]
    fn a_description_of_sound_alone_is_one_without_a_word_of_pictures() {
        let says = |said: Value| {
            let mut out = BytesMut::new();
            Value::from("onMetaData").write(&mut out);
            said.write(&mut out);
            says_sound_alone(&out)
        };
        assert!(says([("audiocodecid", 10.0.into()), ("audiosamplerate", 48_000.0.into())].into()));
        assert!(says([("audiocodecid", 10.0.into()), ("videocodecid", 0.0.into()), ("width", 0.0.into())].into()));
        assert!(!says([("audiocodecid", 10.0.into()), ("videocodecid", 7.0.into())].into()));
        assert!(!says([("audiocodecid", 10.0.into()), ("width", 640.0.into())].into()));
        assert!(!says([("encoder", "x".into())].into()) && !says(Value::Null));
        assert!(!says_sound_alone(b"\x02"));
    }
}
