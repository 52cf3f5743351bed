//! The types of RTMP messages (specification §5.4, §6.2, §7.1).

pub(super) const SET_CHUNK_SIZE: u8 = 1;
pub(super) const ABORT: u8 = 2;
pub(super) const ACKNOWLEDGEMENT: u8 = 3;
pub(super) const USER_CONTROL: u8 = 4;
pub(super) const WINDOW_SIZE: u8 = 5;
pub(super) const PEER_BANDWIDTH: u8 = 6;
pub(super) const AUDIO: u8 = 8;
pub(super) const VIDEO: u8 = 9;
pub(super) const DATA_AMF3: u8 = 15;
pub(super) const COMMAND_AMF3: u8 = 17;
pub(super) const DATA: u8 = 18;
pub(super) const COMMAND: u8 = 20;
pub(super) const AGGREGATE: u8 = 22;
