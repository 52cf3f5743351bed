//! The media server: streams and tracks; knows no rooms, users or tokens.
//!
//! Whatever publishes becomes [`frame::Frame`]s in the [`hub::Hub`]; whatever plays reads them from there. Who may
//! publish or play is asked with a value ([`request::Request`]) and answered by whoever owns the other end.

pub mod audio;
mod black;
pub mod codec;
pub mod ended;
mod filler;
pub mod flv;
pub mod fmp4;
pub mod frame;
pub mod hls;
pub mod hub;
pub mod in_order;
pub mod mix;
pub mod name;
pub mod record;
pub mod rendition;
pub mod request;
pub mod rtc;
pub mod rtmp;
mod silence;

pub use ended::Ended;
pub use frame::{Codec, Frame, Kind};
pub use hub::{Figures, Hub};
pub use name::{Protocol, StreamName};
