//! The session against a client's bytes: what is said, asked, refused and timed out.

use super::*;
use crate::frame::{Codec, Kind};
use crate::rtmp::amf0::Value;
use crate::rtmp::chunk::{self, Header};
use crate::rtmp::message::CHUNK;
use bytes::BufMut;
use proptest::prelude::*;

/// A client played by hand against a session.
struct Peer {
    session: Session,
    replies: Reader,
    now: Instant,
}

impl Peer {
    fn new() -> Peer {
        let now = Instant::now();
        Peer { session: Session::new(Timeouts::default(), now), replies: Reader::default(), now }
    }

    /// Through the handshake and `connect`.
    fn connected() -> Peer {
        Peer::saying(Vec::new())
    }

    /// The same, with more properties in `connect`.
    fn saying(more: Vec<(&str, Value)>) -> Peer {
        let mut peer = Peer::new();
        let mut hello = vec![3];
        hello.resize(1 + 2 * handshake::PACKET, 0);
        assert!(peer.send(&hello).unwrap().is_empty());
        let greeting = peer.session.take_output();
        assert_eq!(greeting.len(), 1 + 2 * handshake::PACKET);
        let properties = [("app", "live".into()), ("tcUrl", "rtmp://h/live".into())].into_iter().chain(more);
        let app = Value::Object(properties.map(|(name, value)| (name.to_owned(), value)).collect());
        peer.call(&["connect".into(), 1.0.into(), app]).unwrap();
        assert_eq!(peer.codes(), ["NetConnection.Connect.Success"]);
        peer
    }

    fn publishing() -> Peer {
        let mut peer = Peer::connected();
        let asked = peer.call(&["publish".into(), 5.0.into(), Value::Null, "s?a=1".into(), "live".into()]);
        assert!(matches!(&asked.unwrap()[..], [Event::Publish(ask)] if ask.query.0 == "a=1"));
        assert!(peer.session.accept_publish(peer.now));
        assert_eq!(peer.codes(), ["NetStream.Publish.Start"]);
        peer
    }

    fn playing() -> Peer {
        let mut peer = Peer::connected();
        let asked = peer.call(&["play".into(), 5.0.into(), Value::Null, "s".into()]).unwrap();
        assert!(matches!(&asked[..], [Event::Play(_)]));
        assert!(peer.session.accept_play(peer.now));
        assert_eq!(peer.codes(), ["NetStream.Play.Reset", "NetStream.Play.Start"]);
        peer
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, Ended> {
        let mut events = Vec::new();
        while let Some(event) = self.session.handle(&mut bytes, self.now)? {
            events.push(event);
        }
        assert!(bytes.is_empty());
        Ok(events)
    }

    fn message(&mut self, kind: u8, timestamp: u32, payload: &[u8]) -> Result<Vec<Event>, Ended> {
        let mut out = BytesMut::new();
        let header = Header { kind, stream: 1, timestamp };
        chunk::write(&mut out, 7, header, &[], payload, chunk::INITIAL);
        self.send(&out)
    }

    fn call(&mut self, values: &[Value]) -> Result<Vec<Event>, Ended> {
        let mut body = BytesMut::new();
        values.iter().for_each(|v| v.write(&mut body));
        self.message(message::COMMAND, 0, &body)
    }

    fn heard(&mut self) -> Vec<Message> {
        let out = self.session.take_output();
        let mut bytes = &out[..];
        let mut heard = Vec::new();
        while let Some(message) = self.replies.read(&mut bytes).unwrap() {
            if message.kind == message::SET_CHUNK_SIZE {
                self.replies.set_chunk_size(CHUNK as u32).unwrap();
            }
            heard.push(message);
        }
        heard
    }

    /// The `code` of each command heard.
    fn codes(&mut self) -> Vec<String> {
        let commands = self.heard().into_iter().filter(|m| m.kind == message::COMMAND);
        let values = commands.map(|m| amf0::read_all(&m.payload).unwrap());
        values.filter_map(|v| v.get(3)?.get("code")?.as_str().map(String::from)).collect()
    }
}

#[test]
fn who_can_decode_opus_says_so_when_connecting() {
    let array = |codecs: &[&str]| Value::Array(codecs.iter().map(|c| (*c).into()).collect());
    let flags = |name: &str, flags: f64| Value::Object(vec![(name.to_owned(), flags.into())]);
    let cases = [
        (vec![], false),
        (vec![("fourCcList", array(&["av01", "hvc1"]))], false),
        (vec![("fourCcList", array(&["av01", "Opus"]))], true),
        (vec![("fourCcList", array(&["*"]))], true),
        (vec![("fourCcList", "Opus".into())], false),
        (vec![("audioFourCcInfoMap", flags("Opus", 1.0))], true),
        (vec![("audioFourCcInfoMap", flags("*", 5.0))], true),
        (vec![("audioFourCcInfoMap", flags("Opus", 2.0))], false),
        (vec![("audioFourCcInfoMap", flags("Opus", f64::NAN))], false),
    ];
    for (more, opus) in cases {
        let mut peer = Peer::saying(more.clone());
        let asked = peer.call(&["play".into(), 5.0.into(), Value::Null, "s".into()]).unwrap();
        assert!(matches!(&asked[..], [Event::Play(ask)] if ask.opus == opus), "{more:?}");
    }
}

#[test]
fn who_understands_several_tracks_says_so_when_connecting_or_asks_for_them() {
    let cases = [
        (vec![], "s", false),
        (vec![("capsEx", 5.0.into())], "s", false),
        (vec![("capsEx", 2.0.into())], "s", true),
        (vec![("capsEx", f64::NAN.into())], "s", false),
        (vec![], "s?multitrack=1", true),
        (vec![], "s?multitrack=10", false),
    ];
    for (more, name, multitrack) in cases {
        let mut peer = Peer::saying(more.clone());
        let asked = peer.call(&["play".into(), 5.0.into(), Value::Null, name.into()]).unwrap();
        assert!(matches!(&asked[..], [Event::Play(ask)] if ask.multitrack == multitrack), "{more:?} {name}");
    }
}

#[test]
fn publishing_as_encoders_do() {
    let mut peer = Peer::connected();
    for (name, transaction) in [("releaseStream", 2.0), ("FCPublish", 3.0), ("_checkbw", 4.0)] {
        peer.call(&[name.into(), transaction.into(), Value::Null, "s".into()]).unwrap();
    }
    peer.call(&["createStream".into(), 5.0.into(), Value::Null]).unwrap();
    let answers: Vec<_> = peer.heard().iter().map(|m| amf0::read_all(&m.payload).unwrap()).collect();
    let transactions: Vec<_> = answers.iter().map(|a| a[1].as_f64().unwrap()).collect();
    assert_eq!(transactions, [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(answers[3], ["_result".into(), 5.0.into(), Value::Null, 1.0.into()]);

    let mut peer = Peer::publishing();
    let config = peer.message(message::VIDEO, 0, b"\x17\0\0\0\0\x01\x64\0\x1f").unwrap();
    assert!(matches!(&config[..], [Event::Frame(f)] if f.kind == Kind::VideoConfig && f.codec == Codec::H264));
    let mut data = BytesMut::new();
    Value::from("@setDataFrame").write(&mut data);
    data.put_slice(b"\x02\0\x0aonMetaData\x05");
    let data = peer.message(message::DATA, 0, &data).unwrap();
    assert!(matches!(&data[..], [Event::Frame(f)] if f.is_metadata()));
    let picture = peer.message(message::VIDEO, 40, b"\x27\x01\0\0\x28xyz").unwrap();
    assert!(matches!(&picture[..], [Event::Frame(f)] if (f.dts, f.cts, f.key) == (40_000, 40_000, false)));

    let stopped = peer.call(&["FCUnpublish".into(), 6.0.into(), Value::Null, "s".into()]).unwrap();
    assert!(matches!(stopped[..], [Event::Stopped]));
    let again = peer.call(&["deleteStream".into(), 7.0.into(), Value::Null, 1.0.into()]).unwrap();
    assert!(again.is_empty(), "stopping twice is stopping once");
    // The connection serves for another stream.
    let asked = peer.call(&["publish".into(), 8.0.into(), Value::Null, "t".into()]).unwrap();
    assert!(matches!(&asked[..], [Event::Publish(ask)] if ask.stream.as_str() == "t"));
}

#[test]
fn publish_started_is_said_after_permission_only() {
    let mut peer = Peer::connected();
    peer.call(&["publish".into(), 5.0.into(), Value::Null, "s".into()]).unwrap();
    assert!(peer.codes().is_empty());
    // Media before the answer goes nowhere.
    assert!(peer.message(message::VIDEO, 0, b"\x17\x01\0\0\0x").unwrap().is_empty());
    peer.session.reject(&Ended::Busy, peer.now);
    assert_eq!(peer.codes(), ["NetStream.Publish.BadName"]);
    assert!(!peer.session.accept_publish(peer.now), "what was refused is not accepted later");
    assert!(peer.codes().is_empty());
    let mut peer = Peer::connected();
    peer.call(&["play".into(), 5.0.into(), Value::Null, "s".into()]).unwrap();
    peer.session.reject(&Ended::NotFound, peer.now);
    assert_eq!(peer.codes(), ["NetStream.Play.StreamNotFound"]);
}

#[test]
fn players_pause_choose_and_stop() {
    let mut peer = Peer::playing();
    let length = peer.call(&["getStreamLength".into(), 6.0.into(), Value::Null, "s".into()]).unwrap();
    assert!(length.is_empty());
    let mut one = |values: &[Value]| peer.call(values).unwrap().pop().unwrap();
    assert!(matches!(one(&["pause".into(), 0.0.into(), Value::Null, true.into()]), Event::Pause(true)));
    assert!(matches!(one(&["pause".into(), 0.0.into(), Value::Null, false.into()]), Event::Pause(false)));
    let receive = |what: &str| [what.into(), 0.0.into(), Value::Null, false.into()];
    assert!(matches!(one(&receive("receiveAudio")), Event::ReceiveAudio(false)));
    assert!(matches!(one(&receive("receiveVideo")), Event::ReceiveVideo(false)));
    assert!(matches!(one(&["seek".into(), 0.0.into(), Value::Null, 5_000.0.into()]), Event::KeyWanted));
    let codes = ["NetStream.Pause.Notify", "NetStream.Unpause.Notify", "NetStream.Seek.Notify"];
    assert_eq!(peer.codes(), codes);
    peer.session.play_ended(peer.now);
    assert_eq!(peer.codes(), ["NetStream.Play.UnpublishNotify"]);
}

#[test]
fn each_step_has_its_deadline() {
    let s = Duration::from_secs;
    let mut peer = Peer::new();
    let start = peer.now;
    assert_eq!(peer.session.deadline(), Some(start + s(5)));
    peer.send(&[3; 100]).unwrap();
    assert_eq!(peer.session.deadline(), Some(start + s(5)), "a trickle does not extend it");
    assert_eq!(peer.session.overdue(peer.now), Err(Ended::Timeout("the handshake")));
    let mut hello = vec![3];
    hello.resize(1 + 2 * handshake::PACKET, 0);
    let mut peer = Peer::new();
    peer.send(&hello).unwrap();
    assert_eq!(peer.session.deadline(), Some(peer.now + s(10)));
    assert_eq!(peer.session.overdue(peer.now), Err(Ended::Timeout("connect")));
    let mut peer = Peer::connected();
    assert_eq!(peer.session.deadline(), Some(peer.now + s(60)), "an app connects before its user begins");
    let connected = peer.now;
    peer.now += s(3);
    peer.call(&["createStream".into(), 2.0.into()]).unwrap();
    assert_eq!(peer.session.deadline(), Some(connected + s(60)), "talk does not extend it");
    assert_eq!(peer.session.overdue(peer.now), Err(Ended::Timeout("publish or play")));
    let mut peer = Peer::publishing();
    peer.now += s(9);
    peer.call(&["deleteStream".into(), 7.0.into(), Value::Null, 1.0.into()]).unwrap();
    assert_eq!(peer.session.deadline(), Some(peer.now + s(60)), "the next stream of the same connection");
    let mut peer = Peer::publishing();
    peer.now += s(9);
    peer.message(message::AUDIO, 0, b"\xaf\x01x").unwrap();
    assert_eq!(peer.session.deadline(), Some(peer.now + s(10)));
    peer.now += s(9);
    peer.message(message::AUDIO, 0, b"").unwrap();
    assert_eq!(peer.session.deadline(), Some(peer.now + s(1)), "nothing is no media");
    assert_eq!(Peer::playing().session.deadline(), None);
}

#[test]
fn a_publisher_without_media_is_asked_whether_it_is_there() {
    let s = Duration::from_secs;
    let mut peer = Peer::publishing();
    peer.message(message::VIDEO, 0, b"\x17\x01\0\0\0picture").unwrap();
    let answers: [&[u8]; 3] = [&[0, 7, 0, 0, 0, 9], &[0, 3, 0, 0, 0, 1], &[0, 6, 0, 0, 0, 9]];
    for answer in answers {
        peer.now = peer.session.deadline().unwrap();
        peer.session.overdue(peer.now).unwrap();
        let asked = peer.heard();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].kind == message::USER_CONTROL && asked[0].payload.starts_with(&[0, 6]), "{asked:?}");
        assert_eq!(peer.session.deadline(), Some(peer.now + s(5)));
        peer.now += s(4);
        let heard = peer.message(message::USER_CONTROL, 0, answer).unwrap();
        assert!(matches!(heard[..], [Event::Alive]), "{heard:?}");
        assert_eq!(peer.session.deadline(), Some(peer.now + s(10)));
        peer.heard();
    }
    // Media is an answer, too.
    peer.now += s(15);
    peer.session.overdue(peer.now).unwrap();
    let heard = peer.message(message::AUDIO, 0, b"\xaf\x01x").unwrap();
    assert!(matches!(heard[..], [Event::Alive, Event::Frame(_)]), "{heard:?}");
    // Who is asked and says nothing is gone.
    peer.now += s(15);
    peer.session.overdue(peer.now).unwrap();
    peer.now += s(15);
    assert_eq!(peer.session.overdue(peer.now), Err(Ended::Timeout("media")));
}

#[test]
fn rules_of_the_protocol_end_a_session_plainly() {
    let mut hello = vec![3];
    hello.resize(1 + 2 * handshake::PACKET, 0);
    let mut peer = Peer::new();
    peer.send(&hello).unwrap();
    let early = peer.call(&["publish".into(), 1.0.into(), Value::Null, "s".into()]);
    assert_eq!(early.unwrap_err(), Ended::Protocol("a command before connect".into()));
    let twice = Peer::publishing().call(&["publish".into(), 1.0.into(), Value::Null, "s".into()]);
    assert_eq!(twice.unwrap_err(), Ended::Protocol("publish at the wrong time".into()));
    let mut bomb = BytesMut::new();
    Value::from("connect").write(&mut bomb);
    bomb.put_slice(&b"\x03\0\x01a".repeat(5000));
    assert_eq!(Peer::connected().message(message::COMMAND, 0, &bomb).unwrap_err(), Ended::Limit("AMF0 nesting"));
    let mut peer = Peer::connected();
    let unnamed = peer.call(&["publish".into(), 1.0.into(), Value::Null, "a/b".into()]);
    assert!(matches!(unnamed.unwrap_err(), Ended::Refused(_)));
    assert_eq!(peer.codes(), ["NetStream.Publish.Denied"]);
}

#[test]
fn pings_are_answered_and_bytes_acknowledged() {
    let mut peer = Peer::publishing();
    peer.message(message::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4]).unwrap();
    assert_eq!(peer.heard().pop().unwrap().payload[..], [0, 7, 1, 2, 3, 4]);
    // A window below our least counts as our least.
    peer.message(message::WINDOW_SIZE, 0, &1u32.to_be_bytes()).unwrap();
    for _ in 0..3 {
        peer.message(message::AUDIO, 0, &[&[0xaf, 1][..], &[0; 30_000]].concat()).unwrap();
    }
    let acks: Vec<_> = peer.heard().into_iter().filter(|m| m.kind == message::ACKNOWLEDGEMENT).collect();
    assert_eq!(acks.len(), 1);
    let told = u32::from_be_bytes(acks[0].payload[..].try_into().unwrap());
    assert!((65_536..100_000).contains(&told), "{told}");
}

#[test]
fn timestamps_run_on_past_32_bits() {
    let mut peer = Peer::publishing();
    let mut at = |ms: u32| match peer.message(message::AUDIO, ms, b"\xaf\x01x").unwrap().pop() {
        Some(Event::Frame(f)) => f.dts,
        other => panic!("{other:?}"),
    };
    let last = i64::from(u32::MAX);
    assert_eq!(at(0x9000_0000), 0x9000_0000 * 1000);
    assert_eq!(at(u32::MAX), last * 1000);
    assert_eq!(at(9), (last + 10) * 1000);
    // A little back is a little back, not 49 days on.
    assert_eq!(at(u32::MAX), last * 1000);
}

#[test]
fn aggregates_come_apart() {
    let mut body = BytesMut::new();
    for (time, payload) in [(100u8, &b"\xaf\x01one"[..]), (120, b"\xaf\x01two")] {
        body.put_slice(&[8, 0, 0, payload.len() as u8, 0, 0, time, 0, 0, 0, 0]);
        body.put_slice(payload);
        body.put_u32(11 + payload.len() as u32);
    }
    let mut peer = Peer::publishing();
    let events = peer.message(message::AGGREGATE, 1000, &body).unwrap();
    let frames: Vec<_> = events
        .iter()
        .map(|e| match e {
            Event::Frame(f) => (f.dts / 1000, f.payload.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(frames, [(1000, "one".into()), (1020, "two".into())]);
}

proptest! {
    #[test]
    fn no_message_panics(
        publish in any::<bool>(),
        messages in prop::collection::vec((0u8..24, any::<u32>(), prop::collection::vec(any::<u8>(), 0..60)), 1..20),
    ) {
        let mut peer = if publish { Peer::publishing() } else { Peer::connected() };
        for (kind, timestamp, payload) in messages {
            if peer.message(kind, timestamp, &payload).is_err() {
                break;
            }
        }
    }

    #[test]
    fn no_opening_panics(bytes in prop::collection::vec(any::<u8>(), 0..8000), version in any::<bool>()) {
        let mut peer = Peer::new();
        let opening = if version { [&[3][..], &bytes].concat() } else { bytes };
        let _ = peer.send(&opening);
    }
}

#[test]
fn only_who_understands_it_is_asked_to_reconnect_and_publishers_hear_of_the_end() {
    let mut plain = Peer::publishing();
    plain.session.ask_to_reconnect();
    assert!(plain.codes().is_empty(), "it did not say that it understands");
    plain.session.stopping();
    assert_eq!(plain.codes(), ["NetConnection.Connect.AppShutdown"]);
    let mut player = Peer::playing();
    player.session.stopping();
    assert!(player.codes().is_empty(), "its bytes may stand half written");

    let mut modern = Peer::saying(vec![("capsEx", 5.0.into())]);
    assert!(modern.session.reconnects());
    modern.session.ask_to_reconnect();
    assert_eq!(modern.codes(), ["NetConnection.Connect.ReconnectRequest"]);
}

#[test]
fn tracks_that_are_not_carried_are_left_out_and_told_once() {
    let mut peer = Peer::publishing();
    let out = |events: Vec<Event>| match &events[..] {
        [] => String::new(),
        [Event::LeftOut(why)] => why.to_string(),
        [Event::Frame(frame)] => String::from_utf8_lossy(&frame.payload).into(),
        more => panic!("{more:?}"),
    };
    assert_eq!(out(peer.message(message::AUDIO, 0, b"\x95\x01mp4a\x01second").unwrap()), "second");
    let seventh = "track 6 of sound is not carried: tracks 0 to 5 are";
    assert_eq!(out(peer.message(message::AUDIO, 0, b"\x95\x01mp4a\x06x").unwrap()), seventh);
    assert_eq!(out(peer.message(message::AUDIO, 20, b"\x95\x01mp4a\x06x").unwrap()), "");
    assert_eq!(out(peer.message(message::AUDIO, 20, b"\x95\x01mp4a\0first").unwrap()), "first");
    let pictures = "track 1 is not carried: track 0 is the stream";
    assert_eq!(out(peer.message(message::VIDEO, 20, b"\x96\x01avc1\x01\0\0\0x").unwrap()), pictures);
    let both = peer.message(message::AUDIO, 40, b"\x95\x11mp4a\0\0\0\x01x\x02\0\0\x01y").unwrap();
    let told = |event: &Event| match event {
        Event::Frame(frame) => (frame.track, frame.dts, frame.payload[0]),
        other => panic!("{other:?}"),
    };
    assert_eq!(both.iter().map(told).collect::<Vec<_>>(), [(0, 40_000, b'x'), (2, 40_000, b'y')]);
    // Sound that cannot be carried at all does not end the pictures either.
    let sound = "audio of codec id 13 is not supported";
    assert_eq!(out(peer.message(message::AUDIO, 20, b"\xd2x").unwrap()), sound);
    assert_eq!(out(peer.message(message::VIDEO, 20, b"\x17\x01\0\0\0picture").unwrap()), "picture");
    // Nor do such pictures, or what is cut short, end the sound.
    let pictures = "video in Sorenson H.263 (codec id 2) is not supported";
    assert_eq!(out(peer.message(message::VIDEO, 20, b"\x12\0\0\0\0").unwrap()), pictures);
    assert_eq!(out(peer.message(message::VIDEO, 20, b"\x91vvc1x").unwrap()), "video in \"vvc1\" is not supported");
    assert_eq!(out(peer.message(message::VIDEO, 20, b"\x17\x01").unwrap()), "a media message is cut short");
    assert_eq!(out(peer.message(message::AUDIO, 20, b"\xaf").unwrap()), "");
    assert_eq!(out(peer.message(message::AGGREGATE, 20, &[8, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0xaf]).unwrap()), "");
    for over in [&b"\x17\x02"[..], b"\xaf\x02"] {
        let kind = if over[0] == 0x17 { message::VIDEO } else { message::AUDIO };
        assert_eq!(out(peer.message(kind, 20, over).unwrap()), "", "the end of a sequence");
    }
    assert_eq!(out(peer.message(message::AUDIO, 40, b"\xaf\x01sound").unwrap()), "sound");
    peer.now += Duration::from_secs(60);
    assert_eq!(out(peer.message(message::VIDEO, 60, b"\x12\0\0\0\0").unwrap()), "");
    // Neither does the second track of an OBS that sends it as data.
    for name in ["onExpectAdditionalMedia", "additionalMedia"] {
        let mut data = BytesMut::new();
        [Value::from("@setDataFrame"), name.into(), Value::Null].iter().for_each(|v| v.write(&mut data));
        assert_eq!(out(peer.message(message::DATA, 40, &data).unwrap()), "");
    }
}

#[test]
fn a_publisher_is_told_why_its_stream_ends() {
    let mut peer = Peer::publishing();
    assert!(matches!(peer.message(message::VIDEO, 0, b"\x22x").unwrap()[..], [Event::LeftOut(_)]), "sound may follow");
    peer.now += Duration::from_secs(5);
    let why = peer.message(message::VIDEO, 5000, b"\x22x").unwrap_err();
    peer.session.publish_failed(&why);
    let said = peer.heard();
    let values = amf0::read_all(&said.iter().find(|m| m.kind == message::COMMAND).unwrap().payload).unwrap();
    let text = |name| values[3].get(name).and_then(Value::as_str).unwrap();
    assert_eq!((text("level"), text("code")), ("error", "NetStream.Publish.Failed"));
    assert_eq!(text("description"), "protocol error: video in Sorenson H.263 (codec id 2) is not supported");
    // Who has gone is told nothing.
    let mut peer = Peer::publishing();
    peer.session.publish_failed(&Ended::Closed);
    assert_eq!(peer.codes(), [""; 0]);
}

/// Before it is permitted anything, a peer may keep little here; what it publishes then may be as large as ever.
#[test]
fn little_is_kept_for_who_is_permitted_nothing() {
    let mut peer = Peer::connected();
    let all = |peer: &mut Peer, bytes: usize| peer.message(message::VIDEO, 0, &vec![0x17; bytes]);
    assert!(all(&mut peer, 200 << 10).is_ok());
    assert!(matches!(all(&mut peer, 300 << 10), Err(Ended::Limit("bytes of unfinished messages"))));
    let mut peer = Peer::publishing();
    assert!(!matches!(all(&mut peer, 4 << 20), Err(Ended::Limit(_))));
}
