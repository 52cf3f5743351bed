//! The small messages of the protocol itself (specification §5.4, §6.2).

use bytes::{BufMut, BytesMut};

use super::amf0::Value;
use super::chunk::{self, Header};
pub(super) use super::kind::{
    ABORT, ACKNOWLEDGEMENT, AGGREGATE, AUDIO, COMMAND, COMMAND_AMF3, DATA, DATA_AMF3, PEER_BANDWIDTH, SET_CHUNK_SIZE,
    USER_CONTROL, VIDEO, WINDOW_SIZE,
};

/// The command by which nodes ask each other for a keyframe. Not in any specification; servers that do not know it pass it
/// over, as they must with unknown commands.
pub(super) const REQUEST_KEY: &str = "requestKeyframe";

/// The command by which a node says whether a stream's publisher has pictures, perhaps later on. As the one above.
pub(super) const SAYS_PICTURES: &str = "saysPictures";

pub(super) const STREAM_BEGIN: u16 = 0;
pub(super) const STREAM_EOF: u16 = 1;
pub(super) const PING: u16 = 6;
pub(super) const PONG: u16 = 7;

/// The chunk size we send with: whole frames in one chunk nearly always, and below 64 KiB, where some receivers stop.
pub const CHUNK: usize = 60_000;
/// The message stream of everything we send beside commands of the connection. One per connection is all that clients
/// ask for, and that it is the same for all lets viewers share bytes.
pub const STREAM: u32 = 1;

const CONTROL_CHANNEL: u8 = 2;
const COMMAND_CHANNEL: u8 = 3;

/// A message of one 32-bit number.
pub(super) fn number(out: &mut BytesMut, kind: u8, value: u32) {
    control(out, kind, &value.to_be_bytes());
}

pub(super) fn peer_bandwidth(out: &mut BytesMut, window: u32) {
    let [a, b, c, d] = window.to_be_bytes();
    control(out, PEER_BANDWIDTH, &[a, b, c, d, 2]);
}

pub(super) fn user_control(out: &mut BytesMut, event: u16, value: u32) {
    let mut body = [0; 6];
    body[..2].copy_from_slice(&event.to_be_bytes());
    body[2..].copy_from_slice(&value.to_be_bytes());
    control(out, USER_CONTROL, &body);
}

fn control(out: &mut BytesMut, kind: u8, body: &[u8]) {
    chunk::write(out, CONTROL_CHANNEL, Header { kind, stream: 0, timestamp: 0 }, body, &[], CHUNK);
}

/// A command: name, transaction, then its values. `chunk_size` is what the receiver was told so far.
pub(super) fn command(out: &mut BytesMut, stream: u32, chunk_size: usize, values: &[Value]) {
    let mut body = BytesMut::new();
    for value in values {
        value.write(&mut body);
    }
    let header = Header { kind: COMMAND, stream, timestamp: 0 };
    chunk::write(out, COMMAND_CHANNEL, header, &body, &[], chunk_size);
}

/// `onStatus` on the media stream.
pub(super) fn status(out: &mut BytesMut, level: &str, code: &str, description: &str) {
    let info = [("level", level.into()), ("code", code.into()), ("description", description.into())].into();
    command(out, STREAM, CHUNK, &["onStatus".into(), 0.0.into(), Value::Null, info]);
}

/// `onStatus` of the connection.
pub(super) fn connection_status(out: &mut BytesMut, level: &str, code: &str, description: &str) {
    let info = [("level", level.into()), ("code", code.into()), ("description", description.into())].into();
    command(out, 0, CHUNK, &["onStatus".into(), 0.0.into(), Value::Null, info]);
}

/// Tells a player that timestamps and samples are its own to look at; some wait for it.
pub(super) fn sample_access(out: &mut BytesMut) {
    let mut body = BytesMut::new();
    Value::from("|RtmpSampleAccess").write(&mut body);
    body.put_slice(&[1, 1, 1, 1]);
    let header = Header { kind: DATA, stream: STREAM, timestamp: 0 };
    chunk::write(out, COMMAND_CHANNEL, header, &body, &[], CHUNK);
}
