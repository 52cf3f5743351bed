//! The commands of an RTMP session: connect, publish, play and what clients say around them.

use std::time::Instant;

use super::super::amf0::{self, Value};
use super::super::ask::{Ask, ask};
use super::super::message::{self, CHUNK, STREAM};
use super::{Event, Phase, Session, WINDOW};
use crate::ended::Ended;

/// The client understands a request to reconnect.
const RECONNECT: u64 = 1;
/// It understands messages of several tracks.
const MULTITRACK: u64 = 2;

impl Session {
    pub(super) fn command(&mut self, payload: &[u8], now: Instant) -> Result<Option<Event>, Ended> {
        let values = amf0::read_all(payload)?;
        let text = |i: usize| values.get(i).and_then(Value::as_str).unwrap_or("");
        let flag = |i: usize| values.get(i).and_then(Value::as_bool).unwrap_or(true);
        let transaction = values.get(1).and_then(Value::as_f64).unwrap_or(0.0);
        let name = text(0);
        if self.phase == Phase::Open && name != "connect" {
            return Err(Ended::Protocol("a command before connect".into()));
        }
        match name {
            "connect" if self.phase == Phase::Open => {
                let object = values.get(2).unwrap_or(&Value::Null);
                let property = |name| object.get(name).and_then(Value::as_str).unwrap_or("").to_string();
                self.app = property("app");
                self.tc_url = property("tcUrl");
                self.opus = decodes_opus(object);
                // Enhanced RTMP v2, CapsExMask.
                let extended = object.get("capsEx").and_then(Value::as_f64).unwrap_or(0.0) as u64;
                self.reconnects = extended & RECONNECT != 0;
                self.multitrack = extended & MULTITRACK != 0;
                self.connected(transaction);
                self.enter(Phase::Idle, now);
            }
            "createStream" => self.result(transaction, f64::from(STREAM).into()),
            "getStreamLength" => self.result(transaction, 0.0.into()),
            "publish" | "play" if self.phase == Phase::Idle => {
                return self.asked(name == "publish", text(3), now);
            }
            "publish" | "play" => return Err(Ended::Protocol(format!("{name} at the wrong time"))),
            "deleteStream" | "closeStream" | "FCUnpublish" => return Ok(self.stop(now)),
            "pause" | "seek" | "receiveAudio" | "receiveVideo" | message::REQUEST_KEY
                if self.phase == Phase::Playing =>
            {
                return Ok(Some(self.of_player(name, flag(3))));
            }
            "FCSubscribe" => {
                let info = [("level", "status".into()), ("code", "NetStream.Play.Start".into())].into();
                message::command(&mut self.out, 0, CHUNK, &["onFCSubscribe".into(), 0.0.into(), Value::Null, info]);
            }
            "_result" | "_error" | "onStatus" => {}
            // releaseStream, FCPublish, _checkbw and whatever else clients call before they get to the point.
            _ if transaction > 0.0 => self.result(transaction, Value::Null),
            _ => {}
        }
        Ok(None)
    }

    /// What a player asks for while it plays.
    fn of_player(&mut self, name: &str, on: bool) -> Event {
        let mut answer = |code, text| message::status(&mut self.out, "status", code, text);
        match name {
            "pause" => {
                if on {
                    answer("NetStream.Pause.Notify", "paused");
                } else {
                    answer("NetStream.Unpause.Notify", "going on");
                }
                Event::Pause(on)
            }
            // There is nothing before or behind the present. FFmpeg's players show nothing until they hear that it is done.
            "seek" => {
                answer("NetStream.Seek.Notify", "at the present");
                Event::KeyWanted
            }
            "receiveAudio" => Event::ReceiveAudio(on),
            "receiveVideo" => Event::ReceiveVideo(on),
            _ => Event::KeyWanted,
        }
    }

    fn connected(&mut self, transaction: f64) {
        message::number(&mut self.out, message::WINDOW_SIZE, WINDOW);
        message::peer_bandwidth(&mut self.out, WINDOW);
        message::number(&mut self.out, message::SET_CHUNK_SIZE, CHUNK as u32);
        let server = [("fmsVer", "FMS/3,5,7,7009".into()), ("capabilities", 31.0.into()), ("mode", 1.0.into())].into();
        let info = [
            ("level", "status".into()),
            ("code", "NetConnection.Connect.Success".into()),
            ("description", "connected".into()),
            ("objectEncoding", 0.0.into()),
        ];
        message::command(&mut self.out, 0, CHUNK, &["_result".into(), transaction.into(), server, info.into()]);
    }

    fn result(&mut self, transaction: f64, value: Value) {
        message::command(&mut self.out, 0, CHUNK, &["_result".into(), transaction.into(), Value::Null, value]);
    }

    fn asked(&mut self, publish: bool, name: &str, now: Instant) -> Result<Option<Event>, Ended> {
        self.enter(if publish { Phase::AskingPublish } else { Phase::AskingPlay }, now);
        match ask(&self.app, &self.tc_url, name) {
            Ok(ask) => {
                let mut ask = Ask { opus: self.opus, multitrack: self.multitrack || ask.multitrack, ..ask };
                if !publish {
                    ask.without_extension();
                }
                Ok(Some(if publish { Event::Publish(ask) } else { Event::Play(ask) }))
            }
            Err(why) => {
                let why = Ended::Refused(why.into());
                self.reject(&why, now);
                Err(why)
            }
        }
    }

    fn stop(&mut self, now: Instant) -> Option<Event> {
        let busy = !matches!(self.phase, Phase::Handshake | Phase::Open | Phase::Idle);
        if self.phase == Phase::Publishing {
            message::status(&mut self.out, "status", "NetStream.Unpublish.Success", "publishing ended");
        }
        busy.then(|| {
            self.enter(Phase::Idle, now);
            Event::Stopped
        })
    }
}

/// Whether the object of `connect` says that the client can decode Opus (enhanced RTMP v2, "Enhancing NetConnection connect
/// command"): by the list of version 1, or with a flag for each codec.
fn decodes_opus(connect: &Value) -> bool {
    const CAN_DECODE: u64 = 1;
    let any = |name: &str| name == "Opus" || name == "*";
    let listed = match connect.get("fourCcList") {
        Some(Value::Array(codecs)) => codecs.iter().filter_map(Value::as_str).any(any),
        _ => false,
    };
    let flagged = match connect.get("audioFourCcInfoMap") {
        Some(Value::Object(codecs)) => {
            let flags = codecs.iter().filter(|(name, _)| any(name)).filter_map(|(_, flags)| flags.as_f64());
            flags.map(|flags| flags as u64).any(|flags| flags & CAN_DECODE != 0)
        }
        _ => false,
    };
    listed || flagged
}
